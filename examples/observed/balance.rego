# Decides who reads balances, among the callers that have the scope. The example reads this file again when it changes.
#
# The audit event of a request names the policy, data.balance.decision, and the rule that has decided.
package balance

default decision := {"allow": false, "rule": "default"}

decision := {"allow": true, "rule": "active keys"} if not is_suspended

decision := {"allow": false, "rule": "suspended keys", "reason": "the key is suspended"} if is_suspended

# PATCH /v1/keys/{id} with {"metadata": {"suspended": "yes"}} suspends a key on this route.
is_suspended if input.agent.metadata.suspended == "yes"
