# SPDX-License-Identifier: GPL-3.0-or-later
"""A headless Chromium, driven through its debugging pipe."""
import base64, json, os, select, subprocess, time

BROWSER = "/usr/bin/chromium-headless-shell"


class Browser:
    def __init__(self, work):
        to_child, self.to = os.pipe()
        self.back, from_child = os.pipe()

        def fds():  # the pipe's numbers are 3 and 4
            a, b = os.dup(to_child), os.dup(from_child)
            for fd, n in ((a, 3), (b, 4)):
                if fd != n:
                    os.dup2(fd, n)
        while min(to_child, from_child) < 12:  # out of the way of 3 and 4
            to_child, from_child = os.dup(to_child), os.dup(from_child)
        self.child = subprocess.Popen(
            [BROWSER, "--headless", "--no-sandbox", "--disable-gpu",
             "--remote-debugging-pipe", "--user-data-dir=" + work + "/chrome",
             "--no-first-run", "--hide-scrollbars", "about:blank"],
            preexec_fn=fds, close_fds=False, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_child)
        os.close(from_child)
        self.buffer, self.n, self.events = b"", 0, []
        self.session = None
        page = self.call("Target.createTarget", url="about:blank")
        self.session = self.call("Target.attachToTarget", flatten=True,
                                 targetId=page["targetId"])["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(domain + ".enable")

    def _read(self, deadline):
        while b"\0" not in self.buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.back], [], [], left)[0]:
                raise TimeoutError("the browser does not answer")
            data = os.read(self.back, 1 << 20)
            if not data:
                raise EOFError("the browser is gone")
            self.buffer += data
        text, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(text)

    def call(self, method, **params):
        self.n += 1
        m = {"id": self.n, "method": method, "params": params}
        if self.session:
            m["sessionId"] = self.session
        os.write(self.to, json.dumps(m).encode() + b"\0")
        deadline = time.monotonic() + 60
        while True:
            r = self._read(deadline)
            if r.get("id") == self.n:
                if "error" in r:
                    raise RuntimeError("%s: %s" % (method, r["error"]))
                return r["result"]
            self.events.append(r)

    def open(self, path):
        """Loads a file and waits until it is there."""
        self.events = []
        self.call("Page.navigate", url="file://" + path)
        deadline = time.monotonic() + 60
        while not any(e.get("method") == "Page.loadEventFired"
                      for e in self.events):
            self.events.append(self._read(deadline))

    def eval(self, js):
        r = self.call("Runtime.evaluate", expression=js, returnByValue=True,
                      awaitPromise=True)
        if "exceptionDetails" in r:
            raise RuntimeError(js + ": " + json.dumps(r["exceptionDetails"]))
        return r["result"].get("value")

    def troubles(self):
        """Errors, messages, and requests for anything but the page."""
        self.eval("1")
        bad = []
        for e in self.events:
            m, p = e.get("method"), e.get("params", {})
            if m in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled",
                     "Log.entryAdded"):
                bad.append(json.dumps(p)[:300])
            if m == "Network.requestWillBeSent" and \
                    not p["documentURL"] == p["request"]["url"]:
                bad.append("asks for " + p["request"]["url"])
        return bad

    def key(self, key, text=""):
        codes = {"Enter": 13, "Escape": 27, "ArrowDown": 40, "ArrowUp": 38,
                 "ArrowLeft": 37, "ArrowRight": 39, "Tab": 9, " ": 32}
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, text=text
                      if kind == "keyDown" else "",
                      windowsVirtualKeyCode=codes.get(key, 0))

    def mouse(self, kind, x, y):
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y,
                  button="none" if kind == "mouseMoved" else "left",
                  clickCount=0 if kind == "mouseMoved" else 1)

    def width(self, width, height=900):
        self.call("Emulation.setDeviceMetricsOverride", width=width,
                  height=height, deviceScaleFactor=1, mobile=False)

    def scheme(self, name):
        self.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": name}])

    def shot(self, path):
        r = self.call("Page.captureScreenshot", format="png",
                      captureBeyondViewport=True)
        with open(path, "wb") as f:
            f.write(base64.b64decode(r["data"]))

    def close(self):
        self.session = None
        try:
            self.call("Browser.close")
            self.child.wait(20)
        except (OSError, EOFError, TimeoutError, subprocess.TimeoutExpired):
            self.child.kill()
            self.child.wait()
