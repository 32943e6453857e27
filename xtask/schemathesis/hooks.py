"""What Schemathesis cannot know of this API. Each hook says why it is there."""

import json

import schemathesis

# Nobody listens there.
NOWHERE = "http://127.0.0.1:9/"


@schemathesis.serializer("application/x-ndjson")
def lines(ctx, value):
    """A list is sent an item a line; anything else as it is, which is no submission."""
    if isinstance(value, list):
        value = "\n".join(json.dumps(item) for item in value)
    elif not isinstance(value, (str, bytes)):
        value = json.dumps(value)
    return value.encode() if isinstance(value, str) else value


def submissions(body):
    """Those that a body has in it."""
    if isinstance(body, dict) and isinstance(body.get("jobs"), list):
        body = body["jobs"]
    for each in body if isinstance(body, list) else [body]:
        if isinstance(each, dict) and isinstance(each.get("payload"), dict):
            yield each


@schemathesis.hook
def map_body(context, body):
    # No job of this run calls anyone, or sleeps for long.
    for submission in submissions(body):
        payload = submission["payload"]
        if str(payload.get("url")).lower().startswith("http"):
            payload["url"] = NOWHERE
        if isinstance(payload.get("ms"), int) and 1_000 < payload["ms"] <= 86_400_000:
            payload["ms"] = 1_000
    return body


# What OpenAPI cannot say of a request: that one part of it depends on another, or on the time.
UNSAYABLE = [
    "A move of many jobs needs at least one filter.",
    "means nothing with `follow=true`",
    "A batch has an Idempotency-Key only where it is atomic.",
    "a key must expire in the future",
]


def reasons(problem):
    """Why a request was refused, each in the server's words."""
    if problem.get("type") == "/problems/invalid-parameter" and not problem["errors"][0]["pointer"]:
        return [problem["detail"]]
    return [error["detail"] for error in problem.get("errors", [])] or [problem["detail"]]


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """A valid request may be refused for those reasons, and for no other beside them. A batch is
    answered 200 though one in it is wrong: it is refused by its outcome."""
    if failure.kind_title == "Schema-violating request accepted":
        outcomes = response.json().get("outcomes", []) if case.path == "/v1/jobs/batch" else []
        return all(outcome["status"] < 400 for outcome in outcomes)
    if failure.kind_title != "Schema-valid request rejected":
        return True
    return not all(any(each in reason for each in UNSAYABLE) for reason in reasons(response.json()))


@schemathesis.deserializer("application/x-ndjson")
def read_lines(ctx, response):
    """A JSON object a line; an empty line only says that the connection stands."""
    return [json.loads(line) for line in response.text.splitlines() if line]
