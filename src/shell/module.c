/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Modules: dcmds and walkers from shared objects.
 *
 * A module defines pmdb_module, a struct module, whose first word is the API
 * version it was compiled for; that is looked at before any code of it is
 * called.  All is tried in a child first, so that a module that crashes while
 * it is loaded does not take the session with it.
 *
 * Modules are loaded when the user says so and at no other time: a dump names
 * none.  Their names come after the built-in ones; "module`name" says which.
 */
#include "shell/module.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shell/shell_impl.h"

enum {
	TRIAL_SECONDS = 10,
};

struct loaded {
	char *path;
	void *handle;
	const struct module *module;
	struct group group; /* its name is owned */
	unsigned nrunning;  /* dcmds and walkers of it that run now */
};

/* ---- the list of groups -------------------------------------------------- */

const struct group *const *session_groups(struct session *s)
{
	struct modules *m = &s->modules;
	size_t n = 0;

	if (m->groups)
		return m->groups;
	while (dcmd_groups[n])
		n++;
	m->groups = mem_array(n + m->n + 1, sizeof(*m->groups));
	for (size_t i = 0; i < n; i++)
		m->groups[i] = dcmd_groups[i];
	for (size_t i = 0; i < m->n; i++)
		m->groups[n + i] = &m->v[i]->group;
	return m->groups;
}

static void forget_groups(struct session *s)
{
	mem_free(s->modules.groups);
	s->modules.groups = NULL;
}

bool session_is_module(struct session *s, const struct group *g)
{
	for (size_t i = 0; i < s->modules.n; i++)
		if (&s->modules.v[i]->group == g)
			return true;
	return false;
}

void module_enter(struct session *s, const struct group *g, int by)
{
	for (size_t i = 0; i < s->modules.n; i++)
		if (&s->modules.v[i]->group == g)
			s->modules.v[i]->nrunning += (unsigned)by;
}

/* ---- what a module has to be --------------------------------------------- */

static struct err *check_name(const char *what, const char *name,
			      const char *brief)
{
	if (!name[0] || strpbrk(name, " \t\n#%^&*-+=,:/\\?<>;|!`'\"[]{}()"))
		return err_new(ERR_BADDATA, "'%s' is no name for a %s", name,
			       what);
	if (!brief || !brief[0])
		return err_new(ERR_BADDATA, "%s %s has no description", what,
			       name);
	return NULL;
}

static struct err *check_dcmds(const struct dcmd *d)
{
	struct err *err = NULL;

	for (const struct dcmd *e = d; e && e->name && !err; e++) {
		err = check_name("dcmd", e->name, e->brief);
		if (!err && !e->run)
			err = err_new(ERR_BADDATA, "dcmd %s has no function",
				      e->name);
		for (const struct dcmd *f = d; f < e && !err; f++)
			if (!strcmp(f->name, e->name))
				err = err_new(ERR_BADDATA,
					      "there are two dcmds called %s",
					      e->name);
	}
	return err;
}

static struct err *check_walkers(const struct walker *w)
{
	struct err *err = NULL;

	for (const struct walker *x = w; x && x->name && !err; x++) {
		err = check_name("walker", x->name, x->brief);
		if (!err && !x->run)
			err = err_new(ERR_BADDATA, "walker %s has no function",
				      x->name);
		for (const struct walker *y = w; y < x && !err; y++)
			if (!strcmp(y->name, x->name))
				err = err_new(ERR_BADDATA,
					      "there are two walkers called %s",
					      x->name);
	}
	return err;
}

/* opens and checks; the last step runs its code */
static struct err *open_module(struct session *s, const char *path,
			       void **ret_handle, const struct module **ret)
{
	void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	const struct module *m = NULL;
	struct err *err = NULL;

	if (!handle)
		return err_new(ERR_IO, "%s", dlerror());
	m = dlsym(handle, "pmdb_module");
	if (!m)
		err = err_new(ERR_BADDATA,
			      "it is no module: it does not define "
			      "pmdb_module");
	else if (m->api_version != PMDB_API_VERSION)
		err = err_new(ERR_BADDATA,
			      "it was compiled for version %u of the API, and "
			      "this is version %u",
			      m->api_version, PMDB_API_VERSION);
	if (!err)
		err = check_dcmds(m->dcmds);
	if (!err)
		err = check_walkers(m->walkers);
	if (!err && m->init)
		err = m->init(s);
	if (err) {
		(void)dlclose(handle);
		return err;
	}
	*ret_handle = handle;
	*ret = m;
	return NULL;
}

/* ---- the trial ----------------------------------------------------------- */

static void try_in_child(struct session *s, const char *path)
{
	const struct module *module = NULL;
	void *handle = NULL;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	/* what it says it says again when it is loaded */
	if (null >= 0) {
		(void)dup2(null, STDOUT_FILENO);
		(void)dup2(null, STDERR_FILENO);
	}
	for (int sig = 1; sig < 32; sig++)
		(void)signal(sig, SIG_DFL); /* not possible for all */
	(void)alarm(TRIAL_SECONDS);
	err_free(open_module(s, path, &handle, &module));
	_exit(0); /* why it fails is found again, in the session */
}

static struct err *trial(struct session *s, const char *path)
{
	int status = 0;
	pid_t pid = -1;

	out_finish(s->out);
	pid = fork();
	if (pid < 0)
		return err_new(ERR_IO, "cannot try it: %s", strerror(errno));
	if (pid == 0)
		try_in_child(s, path);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_new(ERR_IO, "cannot try it: %s",
				       strerror(errno));
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		return err_new(ERR_BADDATA,
			       "it is not loaded within %d seconds",
			       TRIAL_SECONDS);
	if (WIFSIGNALED(status))
		return err_new(ERR_BADDATA, "it crashes while it is loaded: %s",
			       strsignal(WTERMSIG(status)));
	if (WEXITSTATUS(status) != 0)
		return err_new(ERR_BADDATA, "it exits while it is loaded");
	return NULL;
}

/* ---- loading ------------------------------------------------------------- */

/* "DIR/NAME.so" or "DIR/NAME" of the module path; owned; NULL: none is there */
static char *search(const struct session *s, const char *name)
{
	const char *path = s->settings.module_path;

	if (strchr(name, '/'))
		return mem_strdup(name);
	while (path && *path) {
		int n = (int)strcspn(path, ":");

		for (int i = 0; i < 2; i++) {
			char *file = mem_printf("%.*s/%s%s", n, path, name,
						i == 0 ? ".so" : "");

			if (access(file, R_OK) == 0)
				return file;
			mem_free(file);
		}
		path += n + (path[n] == ':');
	}
	return NULL;
}

/* the basename up to its first dot; owned */
static char *module_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path;

	return mem_strndup(base, strcspn(base, "."));
}

static struct loaded *find(struct session *s, const char *name)
{
	for (size_t i = 0; i < s->modules.n; i++)
		if (!strcmp(s->modules.v[i]->group.name, name))
			return s->modules.v[i];
	return NULL;
}

static bool is_built_in(const char *name)
{
	for (size_t i = 0; dcmd_groups[i]; i++)
		if (!strcmp(dcmd_groups[i]->name, name))
			return true;
	return false;
}

static struct err *load_file(struct session *s, char *path)
{
	_free_ char *owned = path;
	_free_ char *name = module_name(path);
	const struct module *module = NULL;
	struct loaded *l = NULL;
	void *handle = NULL;
	struct err *err = NULL;

	if (find(s, name))
		return err_new(ERR_NOSUP, "module %s is loaded already", name);
	if (is_built_in(name))
		return err_new(ERR_NOSUP, "%s is the name of a built-in module",
			       name);
	if (access(path, R_OK) != 0)
		return err_new(ERR_IO, "%s", strerror(errno));
	err = trial(s, path);
	if (!err)
		err = open_module(s, path, &handle, &module);
	if (err)
		return err;
	l = mem_zalloc(sizeof(*l));
	l->path = owned;
	owned = NULL;
	l->handle = handle;
	l->module = module;
	l->group = (struct group){
		.name = name,
		.dcmds = module->dcmds,
		.walkers = module->walkers,
	};
	name = NULL;
	VEC_PUSH(&s->modules, l);
	forget_groups(s);
	return NULL;
}

struct err *session_load(struct session *s, const char *name)
{
	char *path = search(s, name);

	if (!path)
		return err_new(ERR_NOTFOUND,
			       "failed to load module %s: it is not in the "
			       "module path (see ::set)",
			       name);
	return err_prefix(load_file(s, path), "failed to load module %s", name);
}

static void release(struct session *s, struct loaded *l)
{
	if (l->module->fini)
		l->module->fini(s);
	(void)dlclose(l->handle); /* it was open */
	mem_free((char *)l->group.name);
	mem_free(l->path);
	mem_free(l);
}

struct err *session_unload(struct session *s, const char *name)
{
	struct modules *m = &s->modules;
	struct loaded *l = find(s, name);

	if (!l && is_built_in(name))
		return err_new(ERR_NOSUP, "cannot unload built-in module");
	if (!l)
		return err_new(ERR_NOTFOUND,
			       "failed to unload %s: specified module is not "
			       "loaded",
			       name);
	if (l->nrunning > 0)
		return err_new(ERR_NOSUP, "failed to unload %s: it is running",
			       name);
	for (size_t i = 0; i < m->n; i++)
		if (m->v[i] == l)
			m->v[i] = m->v[m->n - 1];
	m->n--;
	forget_groups(s);
	release(s, l);
	return NULL;
}

void modules_free(struct session *s)
{
	while (s->modules.n > 0)
		release(s, s->modules.v[--s->modules.n]);
	forget_groups(s);
	VEC_FREE(&s->modules);
}
