import pytest

from contactexport.errors import TooManyRequests
from contactexport.users import running_downloads
from contactexport.users.running_downloads import RunningDownloads


def test_begin_refuses_one_download_too_many_until_another_has_ended():
    running = RunningDownloads()
    ends = [running.begin("anna", 2) for _ in range(2)]
    with pytest.raises(TooManyRequests, match="2 downloads of this user are running, which is the limit") as refusal:
        running.begin("anna", 2)
    assert refusal.value.retry_after > 0
    running.begin("bert", 2)
    ends[0]()
    ends[0]()  # the second call ends no other download
    running.begin("anna", 2)
    with pytest.raises(TooManyRequests):
        running.begin("anna", 2)


def test_begin_leaves_threads_for_everything_else():
    running = RunningDownloads()
    ends = [running.begin(f"user{number}", 1) for number in range(running_downloads.MAX_DOWNLOADS)]
    with pytest.raises(TooManyRequests, match="Too many downloads are running now"):
        running.begin("anna", 1)
    ends[0]()
    running.begin("anna", 1)
