import os


def handler(event, context):
    """Greets whom the event names; called by a route, it takes the name from the query."""
    event = event or {}
    name = event.get("name") or (event.get("queryStringParameters") or {}).get("name") or "World"
    print("greeting", name)
    return {"message": f"{os.environ['GREETING']}, {name}!", "requestId": context.aws_request_id}
