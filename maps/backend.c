/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "backend.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include <bpf/bpf.h>

#include "address.h"
#include "route.h"
#include "service.h"

int backend_at(struct maps *maps, uint32_t number, struct xsr_backend *out)
{
	if (number == 0 || number >= XSR_BACKENDS_MAX)
		return -ENOENT;
	if (bpf_map_lookup_elem(maps->fds[MAPS_BACKENDS], &number, out))
		return -errno;
	out->name[XSR_NAME_LEN - 1] = 0;
	return out->family ? 0 : -ENOENT;
}

int backend_get(struct maps *maps, const char *name, struct xsr_backend *out)
{
	uint32_t i;

	for (i = 1; i < XSR_BACKENDS_MAX; i++) {
		int ret = backend_at(maps, i, out);

		if (!ret && !strcmp(out->name, name))
			return i;
		if (ret && ret != -ENOENT)
			return ret;
	}
	return -ENOENT;
}

int backend_put(struct maps *maps, uint32_t number, const struct xsr_backend *backend)
{
	return bpf_map_update_elem(maps->fds[MAPS_BACKENDS], &number, backend, BPF_ANY) ? -errno : 0;
}

static int free_number(struct maps *maps, const struct xsr_backend *spec)
{
	struct xsr_backend b;
	int found = -ENOSPC;
	uint32_t i;

	for (i = 1; i < XSR_BACKENDS_MAX; i++) {
		int ret = backend_at(maps, i, &b);

		if (ret == -ENOENT && found < 0)
			found = i;
		if (ret && ret != -ENOENT)
			return ret;
		if (!ret && !strcmp(b.name, spec->name))
			return -EEXIST;
		if (!ret && backend_same_address(&b, spec))
			return -EADDRINUSE;
	}
	return found;
}

int backend_add(struct maps *maps, const struct xsr_backend *spec)
{
	int number = free_number(maps, spec), ret;

	if (number < 0)
		return number;
	ret = backend_put(maps, number, spec);
	return ret ? ret : number;
}

/* 1 ends the walk: a route leads there. */
static int routes_look(const struct route_entry *entries, size_t n, void *arg)
{
	const uint32_t *number = arg;
	size_t i;

	for (i = 0; i < n; i++)
		if (entries[i].route.action == XSR_ACTION_BACKEND && entries[i].route.target == *number)
			return 1;
	return 0;
}

int backend_routed_by(struct maps *maps, uint32_t number, uint64_t but)
{
	struct xsr_service s;
	uint32_t i;
	int ret;

	for (i = 1; i < XSR_SERVICES_MAX; i++) {
		if (but >> i & 1 || service_at(maps, i, &s) || s.proto != IPPROTO_TCP)
			continue;
		ret = route_for_each(maps, i, &s, routes_look, &number);
		if (ret)
			return ret < 0 ? ret : (int)i;
	}
	return 0;
}

int backend_named_by(struct maps *maps, uint32_t number, uint64_t but)
{
	struct xsr_service s;
	uint32_t i;

	for (i = 1; i < XSR_SERVICES_MAX; i++)
		if (!(but >> i & 1) && !service_at(maps, i, &s) && s.backends >> number & 1)
			return i;
	return 0;
}

int backend_delete(struct maps *maps, const char *name, uint32_t *service)
{
	struct xsr_backend b;
	int number = backend_get(maps, name, &b), user;

	if (number < 0)
		return number;
	user = backend_named_by(maps, number, 0) ?: backend_routed_by(maps, number, 0);
	if (user < 0)
		return user;
	*service = user;
	return user ? -EBUSY : backend_put(maps, number, &(struct xsr_backend){});
}
