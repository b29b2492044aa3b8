/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "stream_load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "libbpf_log.h"
#include "stream.skel.h"

#define SOCKETS_DEFAULT 32768
#define FLOWS_DEFAULT 65536
#define TOLD_LEN_MIN 4096 /* bytes of a ring: a page at least */
#define TOLD_LEN_EACH 16  /* of what is told of a conn: again only after the router has looked */

struct stream_told {
	struct stream *stream;
	uint32_t worker;
	int fd; /* of the ring: libbpf watches it, and does not keep it open */
	struct ring_buffer *ring;
	void (*fn)(uint32_t conn, void *arg);
	void *arg;
};

static int fail(int ret, char why[STREAM_WHY_LEN], const char *what)
{
	const char *kernel = libbpf_log_take();

	snprintf(why, STREAM_WHY_LEN, "cannot %s: %s%s%.160s%s", what, strerror(-ret), *kernel ? " (" : "", kernel, *kernel ? ")" : "");
	return ret;
}

/* The parser must know where in a segment a frame begins, which takes two functions that came with Linux 6.2. */
static bool kernel_tells_offset(void)
{
	struct btf *btf = btf__load_vmlinux_btf();
	bool has = btf && btf__find_by_name_kind(btf, "bpf_cast_to_kern_ctx", BTF_KIND_FUNC) > 0 &&
		   btf__find_by_name_kind(btf, "bpf_rdonly_cast", BTF_KIND_FUNC) > 0;

	btf__free(btf);
	return has;
}

static uint32_t or_default(uint32_t n, uint32_t otherwise)
{
	return n ? n : otherwise;
}

static int sizes_set(struct stream *s)
{
	struct bpf_map *of_sockets[] = { s->skeleton->maps.targets, s->skeleton->maps.frame_sources, s->skeleton->maps.splice_sources,
					 s->skeleton->maps.cookies, s->skeleton->maps.conns };
	struct bpf_map *of_flows[] = { s->skeleton->maps.flows, s->skeleton->maps.flow_counts };
	int ret = 0;
	size_t i;

	for (i = 0; i < sizeof(of_sockets) / sizeof(of_sockets[0]) && !ret; i++)
		ret = bpf_map__set_max_entries(of_sockets[i], s->sockets_max);
	for (i = 0; i < sizeof(of_flows) / sizeof(of_flows[0]) && !ret; i++)
		ret = bpf_map__set_max_entries(of_flows[i], s->flows_max * XSR_WAYS);
	return ret;
}

static int skeleton_load(struct stream *s, bool frames, char why[STREAM_WHY_LEN])
{
	int ret;

	s->skeleton = stream_bpf__open();
	if (!s->skeleton)
		return fail(-errno, why, "open the built-in program for streams");
	bpf_program__set_autoload(s->skeleton->progs.xsr_cut, frames);
	bpf_program__set_autoload(s->skeleton->progs.xsr_frames, frames);
	ret = sizes_set(s);
	if (!ret)
		ret = stream_bpf__load(s->skeleton);
	if (!ret)
		return 0;
	stream_bpf__destroy(s->skeleton);
	s->skeleton = NULL;
	return fail(ret, why, ret == -EPERM ? "load the programs for streams; run as root, or with CAP_BPF and CAP_NET_ADMIN" :
					      "load the programs for streams into the kernel");
}

/* What does not load for `frames` may load without. */
static int programs_load(struct stream *s, char why[STREAM_WHY_LEN])
{
	int ret;

	if (kernel_tells_offset()) {
		ret = skeleton_load(s, true, s->why[XSR_STREAM_FRAMES]);
		s->works[XSR_STREAM_FRAMES] = ret == 0;
	} else {
		snprintf(s->why[XSR_STREAM_FRAMES], STREAM_WHY_LEN,
			 "this kernel does not tell programs where in a segment a frame begins; Linux 6.2 and later do");
	}
	ret = s->skeleton ? 0 : skeleton_load(s, false, why);
	s->works[XSR_STREAM_SPLICE] = ret == 0;
	return ret;
}

static int attach(struct bpf_program *program, struct bpf_map *map, enum bpf_attach_type type)
{
	return bpf_prog_attach(bpf_program__fd(program), bpf_map__fd(map), type, 0) ? -errno : 0;
}

static int programs_attach(struct stream *s)
{
	struct stream_bpf *k = s->skeleton;
	int ret = attach(k->progs.xsr_splice, k->maps.splice_sources, BPF_SK_SKB_STREAM_VERDICT);

	if (!ret && s->works[XSR_STREAM_FRAMES])
		ret = attach(k->progs.xsr_cut, k->maps.frame_sources, BPF_SK_SKB_STREAM_PARSER);
	if (!ret && s->works[XSR_STREAM_FRAMES])
		ret = attach(k->progs.xsr_frames, k->maps.frame_sources, BPF_SK_SKB_STREAM_VERDICT);
	return ret;
}

static size_t pages(size_t len)
{
	size_t page = sysconf(_SC_PAGESIZE);

	return (len + page - 1) & ~(page - 1);
}

static int map_memory(void **out, struct bpf_map *map, size_t len)
{
	void *at = mmap(NULL, pages(len), PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

	if (at == MAP_FAILED)
		return -errno;
	*out = at;
	return 0;
}

int stream_open(struct stream **out, const struct stream_options *options, char why[STREAM_WHY_LEN])
{
	struct stream *s = calloc(1, sizeof(*s));
	int ret;

	if (!s)
		return fail(-ENOMEM, why, "open streams");
	libbpf_log_capture();
	s->sockets_max = or_default(options->sockets_max, SOCKETS_DEFAULT);
	s->flows_max = or_default(options->flows_max, FLOWS_DEFAULT);
	s->n_workers = or_default(options->n_workers, 1);
	if (s->sockets_max > XSR_CONNS_MAX)
		s->sockets_max = XSR_CONNS_MAX;
	ret = programs_load(s, why);
	if (ret)
		goto out;
	ret = programs_attach(s);
	if (!ret)
		ret = map_memory((void **)&s->conns, s->skeleton->maps.conns, s->sockets_max * sizeof(*s->conns));
	if (!ret)
		ret = map_memory((void **)&s->counts, s->skeleton->maps.flow_counts, s->flows_max * XSR_WAYS * sizeof(*s->counts));
	if (ret)
		fail(ret, why, "attach the programs for streams");
out:
	if (ret)
		stream_close(s);
	else
		*out = s;
	return ret;
}

void stream_close(struct stream *s)
{
	if (!s)
		return;
	if (s->conns)
		munmap(s->conns, pages(s->sockets_max * sizeof(*s->conns)));
	if (s->counts)
		munmap(s->counts, pages(s->flows_max * XSR_WAYS * sizeof(*s->counts)));
	if (s->skeleton)
		stream_bpf__destroy(s->skeleton);
	free(s);
}

bool stream_mode_works(const struct stream *s, enum xsr_stream_mode mode, char why[STREAM_WHY_LEN])
{
	if (mode < XSR_STREAM_MAX && s->works[mode])
		return true;
	snprintf(why, STREAM_WHY_LEN, "%s", mode < XSR_STREAM_MAX && *s->why[mode] ? s->why[mode] : "there is no program for this mode");
	return false;
}

/* --- its maps --- */

static int socket_insert(struct bpf_map *map, uint32_t conn, int fd)
{
	uint64_t value = fd;

	return bpf_map_update_elem(bpf_map__fd(map), &conn, &value, BPF_NOEXIST) ? -errno : 0;
}

static int filter_attach(struct stream *s, int fd)
{
	int program = bpf_program__fd(s->skeleton->progs.xsr_let_in);

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &program, sizeof(program)) ? -errno : 0;
}

int stream_target_insert(struct stream *s, uint32_t conn, int fd)
{
	return socket_insert(s->skeleton->maps.targets, conn, fd);
}

void stream_target_delete(struct stream *s, uint32_t conn)
{
	bpf_map_delete_elem(bpf_map__fd(s->skeleton->maps.targets), &conn);
}

int stream_source_insert(struct stream *s, enum xsr_stream_mode mode, uint32_t conn, int fd)
{
	struct bpf_map *map = mode == XSR_STREAM_FRAMES ? s->skeleton->maps.frame_sources : s->skeleton->maps.splice_sources;
	int ret = filter_attach(s, fd);

	return ret ? ret : socket_insert(map, conn, fd);
}

int stream_cookie_set(struct stream *s, uint64_t cookie, uint32_t conn)
{
	return bpf_map_update_elem(bpf_map__fd(s->skeleton->maps.cookies), &cookie, &conn, BPF_ANY) ? -errno : 0;
}

void stream_cookie_delete(struct stream *s, uint64_t cookie)
{
	bpf_map_delete_elem(bpf_map__fd(s->skeleton->maps.cookies), &cookie);
}

int stream_flow_add(struct stream *s, const struct xsr_flow_key *key, const struct xsr_flow *flow)
{
	return bpf_map_update_elem(bpf_map__fd(s->skeleton->maps.flows), key, flow, BPF_NOEXIST) ? -errno : 0;
}

int stream_flow_set(struct stream *s, const struct xsr_flow_key *key, const struct xsr_flow *flow)
{
	return bpf_map_update_elem(bpf_map__fd(s->skeleton->maps.flows), key, flow, BPF_EXIST | BPF_F_LOCK) ? -errno : 0;
}

int stream_flow_get(struct stream *s, const struct xsr_flow_key *key, struct xsr_flow *flow)
{
	return bpf_map_lookup_elem_flags(bpf_map__fd(s->skeleton->maps.flows), key, flow, BPF_F_LOCK) ? -errno : 0;
}

void stream_flow_delete(struct stream *s, const struct xsr_flow_key *key)
{
	bpf_map_delete_elem(bpf_map__fd(s->skeleton->maps.flows), key);
}

/* --- what the programs tell --- */

static int told_one(void *arg, void *data, size_t len)
{
	struct stream_told *told = arg;

	if (len >= sizeof(uint32_t))
		told->fn(*(const uint32_t *)data, told->arg);
	return 0;
}

/* The map keeps a ring as long as it is in there. */
static int ring_publish(struct stream *s, uint32_t worker, int ring_fd)
{
	return bpf_map_update_elem(bpf_map__fd(s->skeleton->maps.told), &worker, &ring_fd, BPF_ANY) ? -errno : 0;
}

/* One that is never full. */
static uint32_t ring_len(const struct stream *s)
{
	uint32_t len = TOLD_LEN_MIN;

	while (len < (s->sockets_max / s->n_workers + 1) * TOLD_LEN_EACH)
		len *= 2;
	return len;
}

int stream_told_open(struct stream_told **out, struct stream *s, uint32_t worker, void (*fn)(uint32_t conn, void *arg), void *arg)
{
	struct stream_told *told = calloc(1, sizeof(*told));
	int ret, fd;

	if (!told)
		return -ENOMEM;
	fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "told", 0, 0, ring_len(s), NULL);
	ret = fd < 0 ? -errno : ring_publish(s, worker, fd);
	*told = (struct stream_told){ .stream = s, .worker = worker, .fd = fd, .fn = fn, .arg = arg };
	if (!ret) {
		told->ring = ring_buffer__new(fd, told_one, told, NULL);
		ret = told->ring ? 0 : -errno;
	}
	if (ret)
		stream_told_close(told);
	else
		*out = told;
	return ret;
}

void stream_told_close(struct stream_told *told)
{
	if (!told)
		return;
	ring_buffer__free(told->ring);
	bpf_map_delete_elem(bpf_map__fd(told->stream->skeleton->maps.told), &told->worker);
	if (told->fd >= 0)
		close(told->fd);
	free(told);
}

int stream_told_fd(const struct stream_told *told)
{
	return ring_buffer__epoll_fd(told->ring);
}

void stream_told_read(struct stream_told *told)
{
	ring_buffer__consume(told->ring);
}
