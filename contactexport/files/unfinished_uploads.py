"""Uploads to S3 that nobody completed: a process that is killed leaves one, and the store charges for its parts.

obstore cannot list them, so two small requests are signed here (Signature Version 4), with a key of the environment.
With credentials of another kind, and for Google Cloud Storage, a lifecycle rule of the bucket must remove such uploads
(docs/operations.md). Azure removes them by itself after a week.
"""

import hashlib
import hmac
import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import quote, urlsplit

from contactexport.errors import StorageUnfit

SECONDS = 20
MOST = 1000
EMPTY = hashlib.sha256(b"").hexdigest()
UPLOAD = re.compile(r"<Upload>.*?</Upload>", re.DOTALL)
KEY, UPLOAD_ID = re.compile(r"<Key>(.*?)</Key>", re.DOTALL), re.compile(r"<UploadId>(.*?)</UploadId>", re.DOTALL)


@dataclass(frozen=True, repr=False)  # no text may show the secret
class UnfinishedUploads:
    """Those of one bucket of S3, or of a store that speaks like it. `endpoint` is the URL of the bucket."""

    endpoint: str
    region: str
    key_id: str
    secret: str
    token: str

    @classmethod
    def from_environment(cls, bucket: str, environment: Mapping[str, str]) -> "UnfinishedUploads | None":
        """None without a key in the environment."""
        region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or "us-east-1"
        names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
        given = next((environment[name] for name in names if environment.get(name)), None)
        bucket_in_host = environment.get("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "").lower() in {"1", "true"}
        endpoint = f"https://{bucket}.s3.{region}.amazonaws.com"
        if given is not None:
            endpoint = given.rstrip("/") if bucket_in_host else f"{given.rstrip('/')}/{bucket}"
        key_id, secret = environment.get("AWS_ACCESS_KEY_ID", ""), environment.get("AWS_SECRET_ACCESS_KEY", "")
        token = environment.get("AWS_SESSION_TOKEN", "")
        return cls(endpoint, region, key_id, secret, token) if key_id and secret else None

    def list(self, prefix: str) -> Iterator[tuple[str, str]]:
        """Key and upload id of the first thousand whose key begins so. Raises StorageUnfit."""
        answer = self._ask("GET", "", {"uploads": "", "prefix": prefix, "max-uploads": str(MOST)})
        for upload in UPLOAD.findall(answer.decode("utf-8", "replace")):
            key, upload_id = KEY.search(upload), UPLOAD_ID.search(upload)
            if key and upload_id:
                yield html.unescape(key[1]), html.unescape(upload_id[1])

    def abort(self, key: str, upload_id: str) -> None:
        """Removes an upload and its parts. Raises StorageUnfit."""
        self._ask("DELETE", key, {"uploadId": upload_id})

    def _ask(self, method: str, key: str, query: Mapping[str, str]) -> bytes:
        url = urlsplit(self.endpoint)
        path = quote(f"{url.path}/{key}".rstrip("/") or "/", safe="/-_.~")
        asked = "&".join(f"{quote(name, safe='')}={quote(query[name], safe='-_.~')}" for name in sorted(query))
        connect = HTTPConnection if url.scheme == "http" else HTTPSConnection
        connection = connect(url.netloc, timeout=SECONDS)
        try:
            connection.request(method, f"{path}?{asked}", headers=self._signed(method, url.netloc, path, asked))
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, HTTPException) as error:
            raise StorageUnfit(f"The object store does not answer: {type(error).__name__}", "unavailable") from None
        finally:
            connection.close()
        if answer.status not in {200, 204, 404}:
            raise StorageUnfit(f"The object store lists no uploads: HTTP {answer.status}", "unavailable")
        return content

    def _signed(self, method: str, host: str, path: str, asked: str) -> dict[str, str]:
        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        headers = {"host": host, "x-amz-content-sha256": EMPTY, "x-amz-date": now}
        if self.token:
            headers["x-amz-security-token"] = self.token
        names = ";".join(sorted(headers))
        lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
        request = hashlib.sha256(f"{method}\n{path}\n{asked}\n{lines}\n{names}\n{EMPTY}".encode()).hexdigest()
        scope = f"{now[:8]}/{self.region}/s3/aws4_request"
        key = f"AWS4{self.secret}".encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        signature = hmac.digest(key, f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{request}".encode(), "sha256").hex()
        credential = f"AWS4-HMAC-SHA256 Credential={self.key_id}/{scope}, SignedHeaders={names}"
        return headers | {"authorization": f"{credential}, Signature={signature}"}
