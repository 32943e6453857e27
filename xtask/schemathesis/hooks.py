"""What Schemathesis cannot know of this API. Each hook says why it is there."""

import json

import schemathesis

# Nobody listens there.
NOWHERE = "http://127.0.0.1:9/"

MOVES_OF_MANY = {"POST /v1/jobs/cancel", "POST /v1/jobs/retry", "DELETE /v1/jobs"}


@schemathesis.serializer("application/x-ndjson")
def lines(ctx, value):
    """A list is sent an item a line; anything else as it is, which is no submission."""
    if isinstance(value, list):
        value = "\n".join(json.dumps(item) for item in value)
    elif not isinstance(value, (str, bytes)):
        value = json.dumps(value)
    return {"data": value.encode() if isinstance(value, str) else value}


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
    # No schema can say that a time is to come.
    if context.operation.label == "POST /v1/keys" and isinstance(body, dict):
        if str(body.get("expires_at"))[:2].isdigit():
            body["expires_at"] = "2999-12-31T23:59:59Z"
    return body


@schemathesis.hook
def filter_query(context, query):
    """What OpenAPI cannot say of parameters together."""
    query = query or {}
    if context.operation.label in MOVES_OF_MANY:
        # At least one filter.
        return any(name != "dry_run" for name in query)
    if context.operation.label == "GET /v1/jobs/{id}/logs":
        # A limit means nothing where every line is sent.
        return not ("limit" in query and "follow" in query)
    return True


@schemathesis.hook
def filter_case(context, case):
    """Only an atomic batch takes an Idempotency-Key: a header field depends on the body."""
    if case.operation.label != "POST /v1/jobs/batch":
        return True
    has_key = any(name.lower() == "idempotency-key" for name in case.headers or {})
    in_body = isinstance(case.body, dict) and case.body.get("atomic") is True
    in_query = str((case.query or {}).get("atomic")).lower() == "true"
    return not has_key or in_body or in_query
