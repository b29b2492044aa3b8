// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * How long the kernel's workers work for the sockets of one network namespace: what a socket map redirects is written by them. A
 * worker's time between the ends of two pieces of work belongs to the later one, the switch to it included.
 */
#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#define KERNEL __attribute__((preserve_access_index))

struct ns_common {
	unsigned int inum;
} KERNEL;

struct net {
	struct ns_common ns;
} KERNEL;

typedef struct {
	struct net *net;
} possible_net_t;

struct sock_common {
	possible_net_t skc_net;
} KERNEL;

struct sock {
	struct sock_common __sk_common;
} KERNEL;

struct work_struct {
	void *func;
} KERNEL;

struct sk_psock {
	struct sock *sk;
	struct work_struct work;
} KERNEL;

struct strparser {
	struct sock *sk;
	struct work_struct work;
} KERNEL;

struct sched_entity {
	__u64 sum_exec_runtime;
} KERNEL;

struct task_struct {
	int pid;
	struct sched_entity se;
} KERNEL;

struct worker {
	__u64 ns;   /* its time at the end of its last work */
	__u64 ours; /* what it does now is */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct worker);
} workers SEC(".maps");

const volatile __u32 netns = 0;
__u64 ours_ns = 0;

static inline __attribute__((always_inline)) void mark(const void *sk_at)
{
	__u32 pid = bpf_get_current_pid_tgid(), inum = 0;
	struct sock *sk = NULL;
	struct worker *worker;
	struct net *net;

	if (bpf_probe_read_kernel(&sk, sizeof(sk), sk_at) || !sk)
		return;
	net = BPF_CORE_READ(sk, __sk_common.skc_net.net);
	inum = BPF_CORE_READ(net, ns.inum);
	worker = bpf_map_lookup_elem(&workers, &pid);
	if (worker && inum == netns)
		worker->ours = 1;
}

SEC("fentry/sk_psock_backlog")
int backlog_begins(__u64 *ctx)
{
	const void *psock = (const void *)ctx[0] - bpf_core_field_offset(struct sk_psock, work);

	mark(psock + bpf_core_field_offset(struct sk_psock, sk));
	return 0;
}

SEC("fentry/strp_work")
int parser_begins(__u64 *ctx)
{
	const void *parser = (const void *)ctx[0] - bpf_core_field_offset(struct strparser, work);

	mark(parser + bpf_core_field_offset(struct strparser, sk));
	return 0;
}

SEC("tp_btf/workqueue_execute_end")
int work_ends(__u64 *ctx)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct worker *worker, first = {};
	__u32 pid = bpf_get_current_pid_tgid();
	__u64 ns = BPF_CORE_READ(task, se.sum_exec_runtime);

	(void)ctx;
	worker = bpf_map_lookup_elem(&workers, &pid);
	if (!worker) {
		first.ns = ns;
		bpf_map_update_elem(&workers, &pid, &first, BPF_ANY);
		return 0;
	}
	if (worker->ours && ns > worker->ns)
		__sync_fetch_and_add(&ours_ns, ns - worker->ns);
	worker->ns = ns;
	worker->ours = 0;
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
