"""Sessions' tokens (JWT), made and read by hand: an independent word on what the product does."""
import base64
import hmac
import json
import time

SESSION_BASE = "a base for the keys of sessions, long enough"
PERSON = "0b4e9d7a-5c1f-4c3e-8a2b-0123456789ab"


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def token(sub=PERSON, issued=None, lasts=3600, base=SESSION_BASE, alg="HS256"):
    """A session's token made by hand; base: the setting that its key comes from."""
    issued = int(time.time()) if issued is None else issued
    key = hmac.digest(base.encode(), b"ugtj: a key that signs sessions", "sha256")
    claims = {"iss": "ugtj", "sub": sub, "iat": issued, "exp": issued + lasts}
    text = b".".join(base64url(json.dumps(part).encode()) for part in ({"alg": alg}, claims))
    signature = b"" if alg == "none" else hmac.digest(key, text, "sha256")
    return (text + b"." + base64url(signature)).decode()


def read_token(text):
    head, claims, signature = text.split(".")
    key = hmac.digest(SESSION_BASE.encode(), b"ugtj: a key that signs sessions", "sha256")
    assert base64url(hmac.digest(key, f"{head}.{claims}".encode(), "sha256")).decode() == signature
    return [json.loads(base64.urlsafe_b64decode(part + "==")) for part in (head, claims)]
