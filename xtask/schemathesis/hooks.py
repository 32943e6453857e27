"""What Schemathesis cannot know of this API. Each hook says why it is there."""

import json

import schemathesis

NOWHERE = "http://127.0.0.1:9/"


@schemathesis.serializer("application/x-ndjson")
def lines(ctx, value):
    """A list is sent an item a line; anything else as it is, which is no submission."""
    if isinstance(value, list):
        value = "\n".join(json.dumps(item) for item in value)
    elif not isinstance(value, (str, bytes)):
        value = json.dumps(value)
    return {"data": value.encode() if isinstance(value, str) else value}


def tame(submission):
    """No job of this run calls anyone, or sleeps for long."""
    payload = submission.get("payload") if isinstance(submission, dict) else None
    if not isinstance(payload, dict):
        return
    if isinstance(payload.get("url"), str) and payload["url"].lower().startswith("http"):
        payload["url"] = NOWHERE
    if isinstance(payload.get("ms"), int) and payload["ms"] > 1000:
        payload["ms"] = 1000 if payload["ms"] <= 86_400_000 else payload["ms"]


@schemathesis.hook
def map_body(context, body):
    for submission in body if isinstance(body, list) else [body]:
        tame(submission)
        if isinstance(submission, dict) and isinstance(submission.get("jobs"), list):
            for each in submission["jobs"]:
                tame(each)
    return body
