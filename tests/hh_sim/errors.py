"""HH's error envelope: every refusal of the simulator is an ApiError made by a function of this file.

Handlers raise; answer() turns what they raise, and aiohttp's own 404 and 405, into HH's JSON.
OAuth's token endpoint has the shape of RFC 6749 instead and no request_id in the body.
"""
import json

from aiohttp import web


class ApiError(Exception):
    def __init__(self, status, errors, **legacy):
        super().__init__(f"{status} {errors}")
        self.status = status
        self.body = {"errors": errors, **legacy}


class OAuthError(Exception):
    def __init__(self, error, description, status=400):
        super().__init__(f"{status} {error}: {description}")
        self.status = status
        self.body = {"error": error, "error_description": description}


def json_response(content, status=200, headers=None):
    body = json.dumps(content, ensure_ascii=False).encode("utf-8", "replace")
    return web.Response(body=body, status=status, headers=headers, content_type="application/json", charset="utf-8")


def bad_argument(name, reason=None):
    entry = {"type": "bad_argument", "value": name}
    if reason:
        entry["reason"] = reason
    return ApiError(400, [entry], description="Bad Request", bad_argument=name,
                    bad_arguments=[{"name": name, "description": "Bad Request"}])


def too_deep(limit):
    text = f"you can't look up more than {limit} items in the list"
    return ApiError(400, [{"type": "bad_argument", "value": "page"}, {"type": "bad_argument", "value": "per_page"}],
                    bad_arguments=[{"name": "page, per_page", "description": text}],
                    description=text, bad_argument="page, per_page")


def unset_arguments(texts):
    """Mandatory fields that were not sent: {name: what HH says of it}."""
    first = next(iter(texts))
    return ApiError(400, [{"type": "bad_argument", "value": name} for name in texts], description=texts[first],
                    bad_argument=first,
                    bad_arguments=[{"name": name, "description": said} for name, said in texts.items()])


def bad_json_data(entries):
    first = entries[0].get("value")
    return ApiError(400, entries, description="Bad Request", bad_argument=first,
                    bad_arguments=[{"name": entry.get("value"), "description": "Bad Request"} for entry in entries])


_DESCRIPTIONS = {400: "Bad Request", 403: "Forbidden", 404: "Not Found"}


def refusal(status, kind, value=None, description=None, **legacy):
    """An error of one entry: type and value."""
    entry = {"type": kind} if value is None else {"type": kind, "value": value}
    said = description or _DESCRIPTIONS.get(status)
    return ApiError(status, [entry], **({"description": said} if said else {}), **legacy)


def bad_user_agent(value):
    return ApiError(400, [{"type": "bad_user_agent", "value": value}], description="Bad User-Agent")


def forbidden():
    return ApiError(403, [{"type": "forbidden"}], description="Forbidden")


def captcha_required(captcha_url):
    entry = {"type": "captcha_required", "value": "captcha_required", "captcha_url": captcha_url}
    return ApiError(403, [entry], description="Forbidden")


# The older clients' key beside "errors", spelt with hyphens; not every value has one.
_LEGACY_OAUTH = {"token_expired": "token-expired", "token_revoked": "token-revoked",
                 "user_auth_expected": "bad-auth-type", "application_not_found": "client-id-deleted"}


def bad_token(value):
    legacy = _LEGACY_OAUTH.get(value)
    if legacy is None:
        return ApiError(403, [{"type": "oauth", "value": value}], description="Forbidden")
    return ApiError(403, [{"type": "oauth", "value": value}], description="Unrecognized authorization",
                    oauth_error=legacy)


def not_found():
    return ApiError(404, [{"type": "not_found"}], description="Not Found")


def method_not_allowed():
    return ApiError(405, [{"type": "method_not_allowed"}])


def too_many_requests():
    return ApiError(429, [{"type": "too_many_requests"}])


def bad_gateway():
    return ApiError(502, [{"type": "bad_gateway"}], description="Bad Gateway")


def service_unavailable():
    return ApiError(503, [{"type": "service_unavailable"}])


def bad_request(status=400):
    return ApiError(status, [{"type": "bad_request"}], description="Bad Request")


def internal_error():
    return ApiError(500, [{"type": "internal_error"}], description="Internal Server Error")


def error_response(error, request, headers=None):
    return json_response({**error.body, "request_id": request["request_id"]}, error.status, headers)


async def answer(request, handler):
    """Runs the handler and returns a response whatever it raised."""
    try:
        return await handler(request)
    except ApiError as error:
        return error_response(error, request)
    except OAuthError as error:
        return json_response(error.body, error.status)
    except web.HTTPNotFound:
        return error_response(not_found(), request)
    except web.HTTPMethodNotAllowed as error:
        return error_response(method_not_allowed(), request, {"Allow": ", ".join(sorted(error.allowed_methods))})
    except web.HTTPException as error:  # a body over aiohttp's limit and the like
        return error_response(bad_request(error.status), request)


@web.middleware
async def translate(request, handler):
    return await answer(request, handler)
