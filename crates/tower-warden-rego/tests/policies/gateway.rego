package mcp.gateway

import future.keywords.if

default allow = false

allow if {
    input.agent.scopes[_] == "mcp:invoke"
    input.tool.namespace == input.agent.tenant
}

deny if {
    input.tool.name == "delete-user"
    not input.request.cert_verified
}
