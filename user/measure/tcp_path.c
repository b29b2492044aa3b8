/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "tcp_path.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "instance.h"
#include "listener.h"
#include "local_load.h"
#include "names.h"
#include "program.h"
#include "server.h"
#include "service.h"
#include "stream.h"
#include "tool.h"

#define INSTANCE "xsr-bench-tcp"
#define ADDRESS "127.0.0.1"
#define PORT_BACKEND 7200
#define PORT_JOINED 7207 /* of the backend that is joined with its clients */
#define PORT_HAPROXY 7211
#define PORT_NGINX 7212
#define WORKERS 2
#define BULK_FROM 65536
#define CONFIG_LEN 2048
#define PATH_LEN 96
#define LISTEN_NS (3 * NS_PER_S)
#define STEP_US 2000
#define NGINX_STREAM "/usr/lib/nginx/modules/ngx_stream_module.so"

_Static_assert(TCP_PATH_PARTS == WORKERS, "nginx has a process for each");

struct tcp_parties {
	struct child backend, joined, router, haproxy, nginx[WORKERS];
	struct maps *maps; /* the router's */
	struct worktime *worktime; /* NULL = this kernel does not tell */
	char dir[PATH_LEN / 2];
	char haproxy_version[RESULT_MODE_LEN / 2], nginx_version[RESULT_MODE_LEN / 2];
};

/* Services of the router; those of their own for long frames need receive buffers for them. */
static const struct tcp_service {
	enum tcp_way way;
	bool is_bulk;
	uint16_t port;
	const char *name, *keys;
} services[] = {
	{ TCP_EPOLL, false, 7201, "epoll", "id: xsr, mode: epoll" },
	{ TCP_FRAMES, false, 7202, "frames", "id: xsr, mode: frames" },
	{ TCP_EPOLL, true, 7203, "epoll-bulk", "id: xsr, mode: epoll, frame_max: 1048576" },
	{ TCP_FRAMES, true, 7204, "frames-bulk", "id: xsr, mode: frames, frame_max: 1048576" },
	{ TCP_RELAY, false, 7205, "relay", "id: none, mode: relay" },
	{ TCP_SPLICE, false, 7206, "splice", "id: none, mode: splice" },
};

#define SERVICES (sizeof(services) / sizeof(services[0]))

static struct sockaddr_in address_of(uint16_t port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };

	inet_pton(AF_INET, ADDRESS, &address.sin_addr);
	return address;
}

/* --- somebody listens --- */

static int address_try(const struct sockaddr_in *address)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), ret;

	if (fd < 0)
		return -errno;
	ret = connect(fd, (const struct sockaddr *)address, sizeof(*address)) ? -errno : 0;
	close(fd);
	return ret;
}

/* What a program said last; "" if it said nothing. */
static void log_read(const char *path, char line[LAB_WHY_LEN])
{
	FILE *log = fopen(path, "r");
	char next[LAB_WHY_LEN];

	line[0] = 0;
	while (log && fgets(next, sizeof(next), log)) {
		next[strcspn(next, "\n")] = 0;
		if (next[0])
			memcpy(line, next, sizeof(next));
	}
	if (log)
		fclose(log);
}

static int listening_wait(const struct bench *b, struct child *child, uint16_t port, const char *name, const char *log,
			  char why[LAB_WHY_LEN])
{
	const struct sockaddr_in address = address_of(port);
	uint64_t until_ns = clock_now_ns() + LISTEN_NS;
	char said[LAB_WHY_LEN];
	int ret = lab_enter(&b->lab, LAB_SERVER);

	if (ret)
		return ret;
	do {
		ret = address_try(&address);
		usleep(ret ? STEP_US : 0);
	} while (ret && child_alive(child, NULL) && clock_now_ns() < until_ns);
	lab_leave(&b->lab);
	if (!ret)
		return 0;
	log_read(log, said);
	snprintf(why, LAB_WHY_LEN, "%s does not listen: %.300s", name, said[0] ? said : strerror(-ret));
	return ret;
}

/* --- the backend, and the place --- */

static struct child_params child_on(const struct bench *b, int cpu, int (*child_main)(struct child_report *, const void *),
				    const void *arg)
{
	return (struct child_params){
		.lab = &b->lab, .side = LAB_SERVER, .cpu = cpu, .is_ordinary = true, .main = child_main, .arg = arg,
	};
}

static int backend_start(const struct bench *b, struct child *child, uint16_t port, char why[LAB_WHY_LEN])
{
	const struct tcp_backend_params backend = { .address = address_of(port) };
	const struct child_params params = child_on(b, b->cpu_worker, tcp_backend_main, &backend);

	return child_start(child, &params, why);
}

static void instance_remove(void)
{
	char path[LISTENER_PATH_LEN];

	program_unload(INSTANCE, true, (char[LAB_WHY_LEN]){});
	unlink(listener_path(INSTANCE, path));
}

int tcp_bench_open(struct bench *b, const struct bench_profile *profile, char why[LAB_WHY_LEN])
{
	int ret = bench_place_open(b, profile, why);

	if (ret)
		return ret;
	instance_remove(); /* what a killed bench left */
	b->tcp = calloc(1, sizeof(*b->tcp));
	ret = b->tcp ? 0 : -ENOMEM;
	if (!ret) {
		strcpy(b->tcp->dir, "/tmp/xsr-bench-XXXXXX");
		ret = mkdtemp(b->tcp->dir) ? 0 : -errno;
	}
	if (ret)
		snprintf(why, LAB_WHY_LEN, "cannot make a folder in /tmp: %s", strerror(-ret));
	else
		ret = backend_start(b, &b->tcp->backend, PORT_BACKEND, why);
	if (!ret)
		worktime_open(&b->tcp->worktime, b->lab.netns[LAB_SERVER]);
	else
		tcp_bench_close(b);
	return ret;
}

static void dir_remove(const char *dir)
{
	const char *const argv[] = { "rm", "-rf", "--", dir, NULL };

	if (dir[0])
		tool_run(argv, NULL, 0, 1);
}

static void router_stop(struct tcp_parties *p)
{
	child_stop(&p->router);
	maps_close(p->maps);
	p->maps = NULL;
}

void tcp_bench_close(struct bench *b)
{
	struct tcp_parties *p = b->tcp;
	int i;

	if (p) {
		for (i = 0; i < WORKERS; i++)
			child_stop(&p->nginx[i]);
		child_stop(&p->haproxy);
		router_stop(p);
		child_stop(&p->joined);
		child_stop(&p->backend);
		worktime_close(p->worktime);
		dir_remove(p->dir);
	}
	free(p);
	b->tcp = NULL;
	instance_remove();
	bench_place_close(b);
}

/* --- the router --- */

/* All of the bench's processes are in one cgroup; without any there is no such service. */
static void local_config(char *config, size_t size)
{
	char cgroup[LOCAL_CGROUP_LEN], why[LOCAL_WHY_LEN];

	if (local_own_cgroup(cgroup, why))
		return;
	snprintf(config, size, "  - { name: local, protocol: tcp, address: \"" ADDRESS ":%d\", id: none, mode: local, cgroup: \"%s\" }\n",
		 PORT_JOINED, cgroup);
}

/* Without a deadline: on a busy machine an answer may take as long as that, and nothing is lost here. */
static void router_config(const struct bench *b, char config[CONFIG_LEN])
{
	size_t i, len;

	len = snprintf(config, CONFIG_LEN,
		       "instance: " INSTANCE "\nhandler: gateway\nworkers: %d\ncpus: [%d, %d]\ndeadline: 0\n"
		       "backends: [{ name: bench, address: \"" ADDRESS ":%d\" }]\nservices:\n",
		       WORKERS, b->cpu_traffic, b->cpu_worker, PORT_BACKEND);
	for (i = 0; i < SERVICES; i++)
		len += snprintf(config + len, CONFIG_LEN - len,
				"  - { name: %s, protocol: tcp, address: \"" ADDRESS ":%u\", backends: [bench], %s%s }\n",
				services[i].name, services[i].port, services[i].keys,
				strstr(services[i].keys, "id: xsr") ? ", default: hash" : "");
	local_config(config + len, CONFIG_LEN - len);
}

static int router_start(struct bench *b, char why[LAB_WHY_LEN])
{
	char config[CONFIG_LEN];
	const struct child_params params = child_on(b, b->cpu_worker, server_run_main, config);
	int ret;

	router_stop(b->tcp);
	router_config(b, config);
	ret = child_start(&b->tcp->router, &params, why);
	if (!ret)
		ret = instance_open(INSTANCE, &b->tcp->maps, why);
	if (ret)
		router_stop(b->tcp);
	return ret;
}

/* What the router says that it does. */
static int mode_check(const struct tcp_parties *p, const char *name, struct tcp_path *path, char why[LAB_WHY_LEN])
{
	struct xsr_service service;
	int index = service_get(p->maps, name, &service);
	const struct xsr_stream_state *state;

	if (index < 0)
		return index;
	state = &p->maps->states[index];
	if (!stream_pid(state))
		return -ENOENT;
	snprintf(path->mode, sizeof(path->mode), "%s", stream_mode_name(state->mode));
	if (state->mode == service.mode)
		return 0;
	snprintf(why, LAB_WHY_LEN, "mode %s is active instead of %s: %.239s", stream_mode_name(state->mode),
		 stream_mode_name(service.mode), state->why);
	return -EOPNOTSUPP;
}

static const struct tcp_service *service_find(enum tcp_way way, bool is_bulk)
{
	size_t i;

	for (i = 0; i < SERVICES; i++)
		if (services[i].way == way && (services[i].is_bulk == is_bulk || strstr(services[i].keys, "id: none")))
			return &services[i];
	return NULL;
}

static int router_path(struct bench *b, enum tcp_way way, uint32_t len, struct tcp_path *path, char why[LAB_WHY_LEN])
{
	const struct tcp_service *service = service_find(way, len > BULK_FROM);
	int ret = 0;

	if (!service) {
		snprintf(why, LAB_WHY_LEN, "the router does not serve this mode yet");
		return -EOPNOTSUPP;
	}
	if (!child_alive(&b->tcp->router, NULL))
		ret = router_start(b, why);
	if (!ret)
		ret = listening_wait(b, &b->tcp->router, service->port, "the router", "", why);
	path->address = address_of(service->port);
	path->parts[path->n_parts++] = &b->tcp->router;
	return ret ? ret : mode_check(b->tcp, service->name, path, why);
}

/* The clients connect to a backend of their own, whose address the service has. */
static int local_path(struct bench *b, struct tcp_path *path, char why[LAB_WHY_LEN])
{
	char cgroup[LOCAL_CGROUP_LEN];
	int ret = 0;

	_Static_assert(LAB_WHY_LEN >= LOCAL_WHY_LEN, "sentences fit");
	if (local_own_cgroup(cgroup, why))
		return -EOPNOTSUPP;
	if (!child_alive(&b->tcp->router, NULL))
		ret = router_start(b, why);
	if (!ret && !child_alive(&b->tcp->joined, NULL))
		ret = backend_start(b, &b->tcp->joined, PORT_JOINED, why);
	if (!ret)
		ret = listening_wait(b, &b->tcp->joined, PORT_JOINED, "the backend", "", why);
	path->address = address_of(PORT_JOINED);
	path->backend = &b->tcp->joined;
	path->parts[path->n_parts++] = &b->tcp->router;
	return ret ? ret : mode_check(b->tcp, "local", path, why);
}

/* --- others' --- */

/* Where administrators' programs are, whatever PATH says. */
static const char *program_find(const char *name, char path[PATH_LEN])
{
	static const char *const dirs[] = { "/usr/sbin", "/usr/local/sbin", "/usr/bin", "/usr/local/bin" };
	size_t i;

	for (i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		snprintf(path, PATH_LEN, "%s/%s", dirs[i], name);
		if (!access(path, X_OK))
			return path;
	}
	return NULL;
}

/* The word of its version that a program prints on the first line. */
static void version_read(const char *program, const char *format, char *version, size_t size)
{
	char command[PATH_LEN + 16], text[256] = "", word[64] = "";
	const char *const argv[] = { "sh", "-c", command, NULL };

	snprintf(command, sizeof(command), "%s -v 2>&1", program);
	if (!tool_run(argv, text, sizeof(text), 1))
		sscanf(text, format, word);
	snprintf(version, size, "%s", word);
}

static int file_write(const char *path, const char *text, char why[LAB_WHY_LEN])
{
	FILE *file = fopen(path, "w");

	if (file && fputs(text, file) >= 0 && !fclose(file))
		return 0;
	snprintf(why, LAB_WHY_LEN, "cannot write %s: %s", path, strerror(errno));
	return -EIO;
}

static const char haproxy_format[] =
	"global\n"
	"    maxconn 2000\n"
	"    nbthread 2\n"
	"    cpu-map 1/1 %d\n"
	"    cpu-map 1/2 %d\n"
	"defaults\n"
	"    mode tcp\n"
	"    timeout connect 5s\n"
	"    timeout client 60s\n"
	"    timeout server 60s\n"
	"frontend clients\n"
	"    bind " ADDRESS ":%d\n"
	"    default_backend backends\n"
	"backend backends\n"
	"    server bench " ADDRESS ":%d\n";

static int haproxy_start(struct bench *b, const char *program, char why[LAB_WHY_LEN])
{
	char config[CONFIG_LEN], path[PATH_LEN], log[PATH_LEN];
	const struct tcp_program_params params = { .argv = { program, "-db", "-f", path, NULL }, .log = log };
	const struct child_params child = child_on(b, b->cpu_worker, tcp_program_main, &params);
	int ret;

	snprintf(path, sizeof(path), "%s/haproxy.cfg", b->tcp->dir);
	snprintf(log, sizeof(log), "%s/haproxy.log", b->tcp->dir);
	snprintf(config, sizeof(config), haproxy_format, b->cpu_traffic, b->cpu_worker, PORT_HAPROXY, PORT_BACKEND);
	version_read(program, "HAProxy version %31[0-9.]", b->tcp->haproxy_version, sizeof(b->tcp->haproxy_version));
	ret = file_write(path, config, why);
	if (!ret)
		ret = child_start(&b->tcp->haproxy, &child, why);
	return ret ? ret : listening_wait(b, &b->tcp->haproxy, PORT_HAPROXY, "haproxy", log, why);
}

static int haproxy_path(struct bench *b, struct tcp_path *path, char why[LAB_WHY_LEN])
{
	char program[PATH_LEN];
	int ret = 0;

	if (!program_find("haproxy", program)) {
		snprintf(why, LAB_WHY_LEN, "install haproxy: apt-get install haproxy");
		return -EOPNOTSUPP;
	}
	if (!child_alive(&b->tcp->haproxy, NULL)) {
		child_stop(&b->tcp->haproxy);
		ret = haproxy_start(b, program, why);
	}
	path->address = address_of(PORT_HAPROXY);
	path->parts[path->n_parts++] = &b->tcp->haproxy;
	snprintf(path->mode, sizeof(path->mode), "haproxy %s", b->tcp->haproxy_version);
	return ret;
}

/*
 * A process for each core, without the master that usually starts them: so each is a child of ours, and ends with us. A worker
 * does the same either way. The proxy is as the manual's example has it, with reuseport.
 */
static const char nginx_format[] =
	"load_module " NGINX_STREAM ";\n"
	"daemon off;\n"
	"master_process off;\n"
	"pid %s/nginx-%d.pid;\n"
	"error_log stderr;\n"
	"events { worker_connections 2000; }\n"
	"stream { server { listen " ADDRESS ":%d reuseport; proxy_pass " ADDRESS ":%d; } }\n";

static int nginx_start(struct bench *b, const char *program, int number, char why[LAB_WHY_LEN])
{
	char config[CONFIG_LEN], path[PATH_LEN], log[PATH_LEN];
	const struct tcp_program_params params = { .argv = { program, "-e", "stderr", "-c", path, NULL }, .log = log };
	const struct child_params child = child_on(b, number ? b->cpu_worker : b->cpu_traffic, tcp_program_main, &params);
	struct child *nginx = &b->tcp->nginx[number];
	int ret;

	if (child_alive(nginx, NULL))
		return 0;
	child_stop(nginx);
	snprintf(path, sizeof(path), "%s/nginx-%d.conf", b->tcp->dir, number);
	snprintf(log, sizeof(log), "%s/nginx-%d.log", b->tcp->dir, number);
	snprintf(config, sizeof(config), nginx_format, b->tcp->dir, number, PORT_NGINX, PORT_BACKEND);
	ret = file_write(path, config, why);
	if (!ret)
		ret = child_start(nginx, &child, why);
	return ret ? ret : listening_wait(b, nginx, PORT_NGINX, "nginx", log, why);
}

static int nginx_path(struct bench *b, struct tcp_path *path, char why[LAB_WHY_LEN])
{
	char program[PATH_LEN];
	int i, ret = 0;

	if (!program_find("nginx", program) || access(NGINX_STREAM, R_OK)) {
		snprintf(why, LAB_WHY_LEN, "install nginx: apt-get install nginx libnginx-mod-stream");
		return -EOPNOTSUPP;
	}
	if (!b->tcp->nginx_version[0])
		version_read(program, "nginx version: nginx/%31[0-9.]", b->tcp->nginx_version, sizeof(b->tcp->nginx_version));
	for (i = 0; i < WORKERS && !ret; i++) {
		ret = nginx_start(b, program, i, why);
		path->parts[path->n_parts++] = &b->tcp->nginx[i];
	}
	path->address = address_of(PORT_NGINX);
	snprintf(path->mode, sizeof(path->mode), "nginx %s", b->tcp->nginx_version);
	return ret;
}

int tcp_path_open(struct bench *b, enum tcp_way way, uint32_t len, struct tcp_path *path, char why[LAB_WHY_LEN])
{
	*path = (struct tcp_path){ .backend = &b->tcp->backend, .worktime = b->tcp->worktime };
	if (!child_alive(&b->tcp->backend, why))
		return -EIO;
	switch (way) {
	case TCP_DIRECT:
		path->address = address_of(PORT_BACKEND);
		strcpy(path->mode, "direct");
		return 0;
	case TCP_LOCAL:
		return local_path(b, path, why);
	case TCP_HAPROXY:
		return haproxy_path(b, path, why);
	case TCP_NGINX:
		return nginx_path(b, path, why);
	default:
		return router_path(b, way, len, path, why);
	}
}
