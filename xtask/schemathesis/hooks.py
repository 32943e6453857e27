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


SUBMIT = "POST /v1/jobs"

# A payload of the kind `sleep`.
PAYLOAD = {"ms": 1}


def is_raw(case):
    """Whether the body is the payload itself."""
    return case.operation.label == SUBMIT and "kind" in (case.query or {})


@schemathesis.hook
def map_case(context, case):
    """With `kind` in the query the body is a payload, and without it no other parameter may stand
    there: OpenAPI can say neither, so what is to be valid is made so here."""
    is_to_be_refused = case.meta is not None and case.meta.generation.mode.is_negative
    if case.operation.label != SUBMIT or is_to_be_refused:
        return case
    if not is_raw(case):
        case.query = {}
        return case
    query = dict(case.query) | {"kind": "sleep"}
    if "delay_s" in query:
        query.pop("run_at", None)
    if query.get("unique.mode") != "window" or "unique.window_s" not in query:
        query.pop("unique.mode", None)
        query.pop("unique.window_s", None)
    if "unique.key" not in query:
        query = {name: value for name, value in query.items() if not name.startswith("unique.")}
    case.query, case.body, case.media_type = query, PAYLOAD, "application/json"
    return case


# What OpenAPI cannot say of a request: that one part of it depends on another, or on the time.
UNSAYABLE = [
    "A move of many jobs needs at least one filter.",
    "means nothing with `follow=true`",
    "A batch has an Idempotency-Key only where it is atomic.",
    "a key must expire in the future",
    "no such parameter; there are kind, with which the body is the payload itself",
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
    if is_raw(case) and (case.body != PAYLOAD or "accepted" in failure.kind_title):
        # It is held to the schema of a submission, which it is not. (Cases from the examples of the
        # document do not pass through `map_case`.)
        return False
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
