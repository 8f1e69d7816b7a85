"""Validates audit lines that the crate has written, with libraries of others.

    validate.py SCHEMA FLAT OCSF

FLAT has flat lines, which are validated against SCHEMA with the package jsonschema. OCSF has events of the Open Cybersecurity
Schema Framework: their common attributes are validated with the models of the package py-ocsf-models, which has none of these
classes, and the attributes that a class requires with the table below, which is that of version 1.8.
"""

import json
import sys

import jsonschema
from py_ocsf_models.events.base_event import BaseEvent
from py_ocsf_models.objects.metadata import Metadata

REQUIRED = {
    0: [],
    3002: ["user", "service"],
    3004: ["entity"],
    6003: ["actor", "api", "src_endpoint"],
    6008: [],
}
COMMON = ["activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid"]


def lines(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def check_flat(schema, events):
    with open(schema, encoding="utf-8") as file:
        schema = json.load(file)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for event in events:
        validator.validate(event)
    # The schema can fail.
    for wrong in [{}, {**events[0], "v": 2}, {**events[0], "path": "/?a"}, {**events[0], "end": "?"}]:
        assert not validator.is_valid(wrong), wrong


def check_ocsf(events):
    for event in events:
        class_uid = event["class_uid"]
        for name in COMMON + REQUIRED[class_uid]:
            assert event.get(name) is not None, f"{name} is missing in {event}"
        assert event["type_uid"] == class_uid * 100 + event["activity_id"]
        assert event["category_uid"] == class_uid // 1000
        BaseEvent(**event)
        Metadata(**event["metadata"])


def main():
    schema, flat, ocsf = sys.argv[1:]
    flat, ocsf = lines(flat), lines(ocsf)
    assert flat and len(flat) == len(ocsf)
    check_flat(schema, flat)
    check_ocsf(ocsf)
    print(f"{len(flat)} events are valid")


main()
