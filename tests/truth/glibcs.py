# SPDX-License-Identifier: GPL-3.0-or-later
"""The glibcs of Debian's releases, beside the one of this machine: fetched by
apt, which verifies them, below build/glibcs, and kept there.

    VERSION/root     libc6, libc6-dev and other packages, as apt has them
    VERSION/plain    its libraries in one directory
    VERSION/named    the same, with debug information beside them
"""
import fcntl, glob, os, re, shutil, subprocess, sys
import truthlib as T

TOP = os.environ["TOP"]
CACHE = os.path.join(os.path.dirname(T.B), "glibcs")
SUITES = ("bullseye", "trixie", "forky", "sid")
KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
LOADER = "ld-linux-x86-64.so.2"
# of a release whose libc is older than ours: its own programs
OLD = ("bash", "libtinfo6", "perl-base", "libcrypt1", "python3.9-minimal",
       "libpython3.9-minimal", "libpython3.9-stdlib", "libexpat1", "zlib1g",
       "sqlite3", "libsqlite3-0", "libreadline8", "libgcc-s1")
APT_CONF = """Dir::State "%(dir)s";
Dir::State::status "%(dir)s/status";
Dir::Cache "%(dir)s/cache";
Dir::Etc::sourcelist "%(dir)s/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
APT::Architecture "amd64";
APT::Architectures "amd64";
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "2";
"""


def _run(*args, timeout=600, **kw):
    return subprocess.run(args, capture_output=True, text=True, check=True,
                          stdin=subprocess.DEVNULL, timeout=timeout, **kw)


def series(version):
    """"2.41-12+deb13u4" -> (2, 41)"""
    return tuple(map(int, re.match(r"(\d+)\.(\d+)", version).groups()))


def here():
    """The version that runs here."""
    return os.confstr("CS_GNU_LIBC_VERSION").split()[1]


class Unreachable(Exception):
    """Why a release could not be had, in one line."""


class Apt:
    """An apt of its own, that knows other releases than the machine's."""

    def __init__(self):
        self.dir = os.path.join(CACHE, "apt")
        self.env = dict(os.environ, APT_CONFIG=self.dir + "/apt.conf")
        self.mirror = self._mirror()

    def _mirror(self):
        try:
            out = _run("apt-get", "indextargets", "--format",
                       "$(ORIGIN) $(REPO_URI)").stdout
        except (OSError, subprocess.CalledProcessError):
            raise Unreachable("there is no apt")
        uris = [line.split()[1] for line in out.splitlines()
                if line.startswith("Debian ") and "security" not in line]
        if not uris:
            raise Unreachable("apt knows no mirror of Debian")
        return uris[0]

    def update(self, kind="deb", suites=SUITES):
        for d in ("lists/partial", "cache/archives/partial"):
            os.makedirs(os.path.join(self.dir, d), exist_ok=True)
        open(self.dir + "/status", "a").close()
        with open(self.dir + "/apt.conf", "w") as f:
            f.write(APT_CONF % {"dir": self.dir})
        with open(self.dir + "/sources.list", "w") as f:
            for s in suites:
                f.write("%s [signed-by=%s] %s %s main\n" % (kind, KEYS,
                                                          self.mirror, s))
        p = subprocess.run(["apt-get", "-qq", "update"], env=self.env,
                           capture_output=True, text=True, timeout=600,
                           stdin=subprocess.DEVNULL)
        if p.returncode != 0 or "Failed" in p.stderr:
            raise Unreachable("the mirror cannot be reached: " +
                              (p.stderr.splitlines() or [""])[0])

    def versions(self):
        """suite -> version of libc6"""
        out = _run("apt-cache", "madison", "libc6", env=self.env).stdout
        table = {}
        for line in out.splitlines():
            _, version, where = map(str.strip, line.split("|"))
            table[where.split()[1].split("/")[0]] = version
        return table

    def fetch(self, names, into, suite=None):
        """Packages ("name" or "name=version"), unpacked."""
        debs = os.path.join(CACHE, "debs")
        shutil.rmtree(debs, ignore_errors=True)
        os.makedirs(debs)
        os.makedirs(into, exist_ok=True)
        opts = ["-t", suite] if suite else []
        _run("apt-get", "-qq", *opts, "download", *names, env=self.env,
             cwd=debs)
        for deb in os.listdir(debs):
            _run("dpkg-deb", "-x", os.path.join(debs, deb), into)
        shutil.rmtree(debs)


def _lay_out(root, top):
    """root -> plain, named"""
    for name in ("plain", "named"):
        os.makedirs(os.path.join(top, name + "/.debug"))
        # /lib may be a link to /usr/lib, or not
        for d in ("/usr/lib", "/lib"):
            for path in glob.glob(root + d + "/x86_64-linux-gnu/*.so.*"):
                shutil.copy(path, os.path.join(top, name))
    for path in glob.glob(root + "/usr/lib/debug/.build-id/*/*.debug"):
        shutil.copy(path, top + "/named/.debug")
    shutil.rmtree(root + "/usr/lib/debug")


def _get(apt, suite, version):
    top = os.path.join(CACHE, version)
    if os.path.exists(top):
        return
    new = os.path.join(CACHE, "new")
    shutil.rmtree(new, ignore_errors=True)
    names = ["libc6", "libc6-dbg"]
    if series(version) < series(here()):
        # what is built here wants a newer libc than that
        names.append("libc6-dev")
        apt.fetch(OLD, new + "/root", suite)
    apt.fetch([n + "=" + version for n in names], new + "/root")
    _lay_out(new + "/root", new)
    os.rename(new, top)


class Here:
    """The one of this machine."""

    name, is_old = "here, " + here(), False

    def libc(self):
        """Its file."""
        out = _run("ldd", "/bin/sh").stdout
        return re.search(r"libc\.so\.6 => (\S+)", out).group(1)

    def flags(self):
        """How to link with it."""
        return []

    def compile(self, out, *args):
        """Builds a program or a library that runs with this libc."""
        _run("gcc", "-std=gnu11", "-O2", "-g", "-fno-builtin-malloc", "-Wall",
             "-I" + TOP + "/fixtures", "-I" + TOP + "/src/kmem",
             "-I" + TOP + "/src", "-o", out, *args,
             *sorted(glob.glob(T.B + "/src/snap/*.o")), "-lpthread",
             *self.flags())
        return out

    def fixture(self, name, into):
        """Builds a fixture -> its path"""
        return self.compile(os.path.join(into, name),
                            TOP + "/fixtures/prog/" + name + ".c")

    def command(self, args):
        """The command that runs a program of this machine with this libc."""
        return args


class Glibc(Here):
    """One of a release, with debug information or without."""

    def __init__(self, version, is_named):
        self.top = os.path.join(CACHE, version)
        self.dir = os.path.join(self.top, "named" if is_named else "plain")
        self.root = os.path.join(self.top, "root")
        self.name = "%s, %s" % (version, "named" if is_named else "stripped")
        self.is_old = series(version) < series(here())
        self.loader = os.path.join(self.dir, LOADER)

    def libc(self):
        return os.path.join(self.dir, "libc.so.6")

    def flags(self):
        flags = ["-Wl,-rpath," + self.dir,
                 "-Wl,--dynamic-linker=" + self.loader]
        if self.is_old:
            # what begins a program has changed; the kernel's headers have not
            flags += ["--sysroot=" + self.root, "-idirafter", "/usr/include",
                      "-idirafter", "/usr/include/x86_64-linux-gnu",
                      os.path.join(self.dir, "libpthread.so.0"),
                      os.path.join(self.dir, "libdl.so.2"), self.libc(),
                      self.loader]
        return flags

    def command(self, args):
        path = args[0]
        if self.is_old:
            path = os.path.join(self.root, path.lstrip("/"))
        return [self.loader, "--library-path", self.dir, path, *args[1:]]


def fetch():
    """The versions that are there, oldest first; Unreachable if none."""
    listed = os.path.join(CACHE, "versions")
    if not os.path.exists(listed):
        apt = Apt()
        apt.update()
        table = apt.versions()
        if len(table) < len(SUITES):
            raise Unreachable("the mirror has %s only" % " ".join(table))
        for suite, version in table.items():
            _get(apt, suite, version)
        with open(listed + ".new", "w") as f:
            f.write("\n".join(sorted(set(table.values()), key=series)) + "\n")
        os.rename(listed + ".new", listed)
        shutil.rmtree(apt.dir)
    with open(listed) as f:
        return f.read().split()


def redis():
    """Where redis is that uses malloc: its directory of programs."""
    top = os.path.join(CACHE, "redis")
    new = top + ".new"
    if not os.path.exists(top):
        apt = Apt()
        apt.update("deb-src", ("bookworm",))
        shutil.rmtree(new, ignore_errors=True)
        os.makedirs(new)
        _run("apt-get", "-qq", "--download-only", "source", "redis",
             env=apt.env, cwd=new)
        _run("tar", "xf", *glob.glob(new + "/*.orig.tar.gz"), "-C", new,
             "--strip-components=1")
        _run("make", "-C", new, "-j2", "MALLOC=libc", "OPTIMIZATION=-O2",
             "redis-server", "redis-benchmark", "redis-cli", timeout=1800)
        shutil.rmtree(apt.dir)
        os.rename(new, top)
    return os.path.join(top, "src")


def or_skip(get):
    """What get() has; where it cannot be had, the case ends as skipped.  One
    case fetches, and those beside it wait for what it gets."""
    os.makedirs(CACHE, exist_ok=True)
    try:
        with open(os.path.join(CACHE, "lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            return get()
    except (Unreachable, subprocess.SubprocessError) as e:
        print("not fetched: %s" % (str(e).splitlines() or [e])[0])
        sys.exit(77)
