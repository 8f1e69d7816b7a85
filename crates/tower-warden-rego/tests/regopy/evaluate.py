"""Evaluates the rules `allow` and `deny` of a policy with regopy.

Reads inputs, one JSON document a line, and prints a line for each: `allow` if the request is allowed and not denied.
"""

import json
import sys

from regopy import Interpreter


def value(interpreter, rule):
    output = interpreter.query(rule)
    if not output.results:
        return None
    expressions = output.results[0].expressions
    return expressions[0] if expressions else None


def main(policy):
    interpreter = Interpreter()
    with open(policy, encoding="utf-8") as file:
        interpreter.add_module("policy", file.read())
    for line in sys.stdin:
        interpreter.set_input(json.loads(line))
        allowed = value(interpreter, "data.mcp.gateway.allow") is True
        denied = value(interpreter, "data.mcp.gateway.deny") is True
        print("allow" if allowed and not denied else "refuse")


main(sys.argv[1])
