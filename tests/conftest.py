"""What all tests share: in continuous integration none may skip."""

import os
from collections.abc import Iterator

import pytest
from ways import Way, straight


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    """With CI set, a skipped test is a failure: a server that should be there is not."""
    report = yield
    if os.environ.get("CI") and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
    return report


@pytest.fixture(params=["relay", "direct"])
def way(request: pytest.FixtureRequest) -> Iterator[Way]:
    """Both ways to a receiver, one after the other."""
    if request.param == "relay":
        yield Way()
    else:
        with straight() as found:
            yield found
