package mcp.gateway

default allow = false

allow {
    input.agent.scopes[_] == "mcp:invoke"
    input.tool.namespace == input.agent.tenant
}

deny {
    input.tool.name == "delete-user"
    not input.request.cert_verified
}
