/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "service.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include <bpf/bpf.h>

#include "counter.h"
#include "route.h"
#include "stream.h"

int service_at(struct maps *maps, uint32_t index, struct xsr_service *out)
{
	if (index == 0 || index >= XSR_SERVICES_MAX)
		return -ENOENT;
	if (bpf_map_lookup_elem(maps->fds[MAPS_SERVICES], &index, out))
		return -errno;
	out->name[XSR_NAME_LEN - 1] = 0;
	out->rule[XSR_RULE_LEN - 1] = 0;
	return out->name[0] ? 0 : -ENOENT;
}

int service_get(struct maps *maps, const char *name, struct xsr_service *out)
{
	uint32_t i;

	for (i = 1; i < XSR_SERVICES_MAX; i++) {
		int ret = service_at(maps, i, out);

		if (!ret && !strcmp(out->name, name))
			return i;
		if (ret && ret != -ENOENT)
			return ret;
	}
	return -ENOENT;
}

static int service_store(struct maps *maps, uint32_t index, const struct xsr_service *service)
{
	return bpf_map_update_elem(maps->fds[MAPS_SERVICES], &index, service, BPF_ANY) ? -errno : 0;
}

static int free_index(struct maps *maps, const struct xsr_service *spec)
{
	struct xsr_service s;
	int found = -ENOSPC;
	uint32_t i;

	for (i = 1; i < XSR_SERVICES_MAX; i++) {
		int ret = service_at(maps, i, &s);

		if (ret == -ENOENT && found < 0)
			found = i;
		if (ret && ret != -ENOENT)
			return ret;
		if (!ret && !strcmp(s.name, spec->name))
			return -EEXIST;
		if (!ret && service_same_address(&s, spec))
			return -EADDRINUSE;
	}
	return found;
}

/* The service whose dense slots cover `slot`, or 0. */
static uint32_t dense_owner(const struct xsr_service *all, uint32_t slot)
{
	uint32_t i;

	for (i = 1; i < XSR_SERVICES_MAX; i++)
		if (all[i].dense_len && slot >= all[i].dense_base && slot - all[i].dense_base < all[i].dense_len)
			return i;
	return 0;
}

/* Where the used slots behind `slot` begin. */
static uint32_t dense_next_used(struct maps *maps, const struct xsr_service *all, uint32_t slot)
{
	uint32_t next = maps->dense_len, i;

	for (i = 1; i < XSR_SERVICES_MAX; i++)
		if (all[i].dense_len && all[i].dense_base >= slot && all[i].dense_base < next)
			next = all[i].dense_base;
	return next;
}

static void services_read(struct maps *maps, struct xsr_service all[XSR_SERVICES_MAX])
{
	uint32_t i;

	memset(all, 0, XSR_SERVICES_MAX * sizeof(*all));
	for (i = 1; i < XSR_SERVICES_MAX; i++)
		if (service_at(maps, i, &all[i]))
			all[i].dense_len = 0;
}

/* First fit; returns the largest free run, and in *base the first run of `len` if there is one. */
static uint32_t dense_fit(struct maps *maps, uint32_t len, uint32_t *base)
{
	struct xsr_service all[XSR_SERVICES_MAX];
	uint32_t slot = 0, largest = 0;
	int fitted = 0;

	services_read(maps, all);
	while (slot < maps->dense_len) {
		uint32_t owner = dense_owner(all, slot), end;

		if (owner) {
			slot = all[owner].dense_base + all[owner].dense_len;
			continue;
		}
		end = dense_next_used(maps, all, slot);
		if (!fitted && end - slot >= len) {
			*base = slot;
			fitted = 1;
		}
		largest = end - slot > largest ? end - slot : largest;
		slot = end;
	}
	return largest;
}

uint32_t service_dense_free(struct maps *maps)
{
	uint32_t base;

	return dense_fit(maps, UINT32_MAX, &base);
}

/* Exact addresses are asked before "any IPv4", that before "any address". */
static int generality(const struct xsr_service *s)
{
	return (s->flags & XSR_SERVICE_ANY ? 2 : 0) + (s->flags & XSR_SERVICE_IPV6 ? 1 : 0);
}

static int port_read(struct maps *maps, __be16 port, struct xsr_port *out)
{
	uint32_t key = ntohs(port);

	return bpf_map_lookup_elem(maps->fds[MAPS_PORTS], &key, out) ? -errno : 0;
}

/* Each protocol has its chain. */
static uint16_t *port_head(struct xsr_port *port, __u8 proto)
{
	return proto == IPPROTO_TCP ? &port->tcp : &port->udp;
}

static int port_store(struct maps *maps, const struct xsr_service *of, uint16_t head)
{
	uint32_t key = ntohs(of->port);
	struct xsr_port value;
	int ret = port_read(maps, of->port, &value);

	*port_head(&value, of->proto) = head;
	if (!ret && bpf_map_update_elem(maps->fds[MAPS_PORTS], &key, &value, BPF_ANY))
		ret = -errno;
	return ret;
}

/*
 * Walks the port's chain to the place of *spec: *prev is the service before
 * it (0 = the port itself), spec->next the one behind.
 */
static int chain_place(struct maps *maps, struct xsr_service *spec, uint16_t *prev)
{
	struct xsr_service s;
	struct xsr_port port;
	uint16_t index;
	int n = 0, ret;

	*prev = 0;
	ret = port_read(maps, spec->port, &port);
	if (ret)
		return ret;
	spec->next = *port_head(&port, spec->proto);
	for (index = spec->next; index; index = s.next, n++) {
		ret = service_at(maps, index, &s);
		if (ret)
			return ret;
		if (generality(&s) <= generality(spec)) {
			*prev = index;
			spec->next = s.next;
		}
	}
	return n >= XSR_SERVICES_PER_PORT_MAX ? -E2BIG : 0;
}

/* One aligned 16-bit store in the kernel's copy: a reader sees the old chain or the new. */
static int chain_link(struct maps *maps, const struct xsr_service *of, uint16_t prev, uint16_t index)
{
	struct xsr_service s;
	int ret;

	if (!prev)
		return port_store(maps, of, index);
	ret = service_at(maps, prev, &s);
	if (ret)
		return ret;
	s.next = index;
	return service_store(maps, prev, &s);
}

int service_add(struct maps *maps, const struct xsr_service *spec)
{
	struct xsr_service s = *spec;
	uint32_t largest;
	uint16_t prev;
	int index, ret;

	index = free_index(maps, spec);
	if (index < 0)
		return index;
	s.dense_base = 0;
	if (s.dense_len) {
		largest = dense_fit(maps, s.dense_len, &s.dense_base);
		if (largest < s.dense_len)
			return -ENOBUFS;
	}
	ret = chain_place(maps, &s, &prev);
	if (!ret)
		ret = counter_clear(maps, index);
	if (ret)
		return ret;
	stream_clear(maps, index);
	ret = service_store(maps, index, &s);
	if (!ret)
		ret = chain_link(maps, &s, prev, index);
	return ret ? ret : index;
}

int service_update(struct maps *maps, uint32_t index, const struct xsr_service *spec)
{
	struct xsr_service s;
	int ret = service_at(maps, index, &s);

	if (ret)
		return ret;
	s.default_action = spec->default_action;
	s.stamp_interval = spec->stamp_interval;
	s.backends = spec->backends;
	s.frame_max = spec->frame_max;
	s.mode = spec->mode;
	return service_store(maps, index, &s);
}

static int chain_unlink(struct maps *maps, uint32_t index, const struct xsr_service *gone)
{
	struct xsr_service s;
	struct xsr_port port;
	uint16_t i, prev = 0;
	int ret;

	ret = port_read(maps, gone->port, &port);
	if (ret)
		return ret;
	for (i = *port_head(&port, gone->proto); i && i != index; i = s.next) {
		prev = i;
		ret = service_at(maps, i, &s);
		if (ret)
			return ret;
	}
	if (!i)
		return 0;
	return chain_link(maps, gone, prev, gone->next);
}

int service_delete(struct maps *maps, const char *name)
{
	const struct xsr_service empty = {};
	struct xsr_service s;
	int index, ret;

	index = service_get(maps, name, &s);
	if (index < 0)
		return index;
	ret = chain_unlink(maps, index, &s);
	if (ret)
		return ret;
	maps_wait_readers();
	ret = route_flush(maps, index, &s);
	if (ret >= 0)
		ret = service_store(maps, index, &empty);
	if (!ret)
		stream_clear(maps, index);
	return ret;
}
