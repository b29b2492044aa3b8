// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * sockops and sk_msg: the two ends of a connection of this host are joined, so that what one sends is queued at the other without
 * going through TCP. Both are of one cgroup, and one has the service's address. The handshake and the end stay TCP's.
 *
 * A way, from one end to the other, is in one of two states:
 *
 *   by TCP	as if nothing was joined. So it begins, and so it goes on when the reader has too much waiting: TCP then stops
 *		the writer.
 *   past TCP	once the reader has taken all that went by TCP: it reads what came past TCP first, so that nothing of before
 *		may be left.
 *
 * That bounds the kernel's memory: it counts what waits past TCP like what TCP has received, and here it is let be at most half of
 * the reader's receive buffer.
 */
#include <stdbool.h>

#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "types.h"

#define ENDS_DEFAULT 65536
#define FAMILY_IPV4 2
#define FAMILY_IPV6 10
#define LOOPBACK 0x8 /* IFF_LOOPBACK */
#define SHUT_SEND 2 /* SEND_SHUTDOWN */
#define PSOCK_FLAGS 7ULL /* in a socket's pointer to its psock */
#define WAITERS_MAX 8	 /* that are looked at */

struct net_device {
	unsigned int flags;
} __attribute__((preserve_access_index));

struct dst_entry {
	struct net_device *dev;
} __attribute__((preserve_access_index));

struct list_head {
	struct list_head *next;
} __attribute__((preserve_access_index));

struct wait_queue_entry {
	void *func;
	struct list_head entry;
} __attribute__((preserve_access_index));

struct socket_wq {
	struct {
		struct list_head head;
	} wait;
} __attribute__((preserve_access_index));

struct sk_psock {
	struct {
		struct {
			int counter;
		} refs;
	} refcnt;
} __attribute__((preserve_access_index));

struct sock_common {
	struct {
		__s64 counter;
	} skc_cookie;
} __attribute__((preserve_access_index));

struct sock {
	struct sock_common __sk_common;
	struct {
		struct {
			int counter;
		} rmem_alloc;
	} sk_backlog;
	struct {
		int owned;
	} sk_lock;
	int sk_rcvbuf;
	int sk_rcvlowat;
	__u8 sk_shutdown;
	struct dst_entry *sk_dst_cache;
	struct socket_wq *sk_wq;
	void *sk_user_data;
} __attribute__((preserve_access_index));

struct tcp_sock {
	__u32 write_seq, copied_seq, snd_una;
} __attribute__((preserve_access_index));

extern const void woken_wake_function __ksym; /* wakes who waits in a system call, not in poll() or epoll_wait() */

/* An end, as it sees the connection; IPv4 in the form ::ffff:a.b.c.d. The other end's is the same turned round. */
struct end_key {
	__u64 netns;
	__be32 near[4], far[4];
	__u32 near_port, far_port;
};

/* Where an end's socket is. */
struct place {
	__u64 cookie;
	__u64 sock;	  /* to be read only, and believed as long as the cookie is there */
	__u32 is_counted; /* of a server: among those that are joined now */
	__u32 pad;
};

/* What is known of an end, and of the way from it. Its socket's lock is held. */
struct end {
	struct end_key peer;
	struct place at;   /* the other end's place; sock 0 = it has not come */
	__u64 passed;	   /* bytes that went by TCP */
	__u64 credit;	   /* bytes that may go past TCP until the other end is looked at again */
	__u32 is_past;	   /* the way goes past TCP */
	__u32 is_alone;	   /* the other end is not here, and will not be */
	__u32 is_server;
	__u32 reads_whole; /* the other end waits for the whole of what it asked for, which only TCP does */
	__u32 fence;
	__u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, ENDS_DEFAULT);
	__type(key, struct end_key);
	__type(value, __u64);
} sockets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, ENDS_DEFAULT);
	__type(key, struct end_key);
	__type(value, struct place);
} places SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct end);
} ends SEC(".maps");

/* The instance's own, if the loader says so: then it is what the router's other services are counted in. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, XSR_STREAMS_MAX);
	__type(key, __u32);
	__type(value, struct xsr_stream_counters);
} counters SEC(".maps");

const volatile struct xsr_service service;
const volatile __u32 service_index;

/* From now on all goes by TCP: the loader's, before it leaves. */
__u32 is_over;

/* --- counters --- */

static __always_inline void count_at(__u32 place, enum xsr_stream_stat stat, __u64 n)
{
	__u32 index = xsr_stream_index(service_index, place);
	struct xsr_stream_counters *c = bpf_map_lookup_elem(&counters, &index);

	if (c)
		__sync_fetch_and_add(&c->n[stat], n);
}

/* No worker serves the service: their places are the CPUs'. */
static __always_inline void count(enum xsr_stream_stat stat, __u64 n)
{
	count_at(bpf_get_smp_processor_id() & (XSR_WORKERS_MAX - 1), stat, n);
}

static __always_inline void count_redirected(const struct end *e, __u32 len)
{
	__u32 index = xsr_stream_index(service_index, bpf_get_smp_processor_id() & (XSR_WORKERS_MAX - 1));
	struct xsr_stream_counters *c = bpf_map_lookup_elem(&counters, &index);

	if (!c)
		return;
	__sync_fetch_and_add(&c->n[e->is_server ? XSR_STREAM_STAT_REPLIES : XSR_STREAM_STAT_REQUESTS], 1);
	__sync_fetch_and_add(&c->n[e->is_server ? XSR_STREAM_STAT_REPLY_BYTES : XSR_STREAM_STAT_REQUEST_BYTES], len);
}

/* --- sockops: who is joined --- */

static __always_inline bool is_mapped(const __be32 address[4])
{
	return !address[0] && !address[1] && address[2] == bpf_htonl(0xffff);
}

static __always_inline bool is_service(const __be32 address[4], __u32 port)
{
	if (port != bpf_ntohs(service.port))
		return false;
	if (!(service.flags & (is_mapped(address) ? XSR_SERVICE_IPV4 : XSR_SERVICE_IPV6)))
		return false;
	if (service.flags & XSR_SERVICE_ANY)
		return true;
	if (is_mapped(address))
		return address[3] == service.addr[3];
	return address[0] == service.addr[0] && address[1] == service.addr[1] && address[2] == service.addr[2] &&
	       address[3] == service.addr[3];
}

static __always_inline void address_map(__be32 address[4], __be32 ip4)
{
	address[0] = 0;
	address[1] = 0;
	address[2] = bpf_htonl(0xffff);
	address[3] = ip4;
}

static __always_inline void addresses_take(struct bpf_sock_ops *ops, struct end_key *key)
{
	key->near[0] = ops->local_ip6[0];
	key->near[1] = ops->local_ip6[1];
	key->near[2] = ops->local_ip6[2];
	key->near[3] = ops->local_ip6[3];
	key->far[0] = ops->remote_ip6[0];
	key->far[1] = ops->remote_ip6[1];
	key->far[2] = ops->remote_ip6[2];
	key->far[3] = ops->remote_ip6[3];
}

static __always_inline bool key_take(struct bpf_sock_ops *ops, struct end_key *key)
{
	if (ops->family == FAMILY_IPV4) {
		address_map(key->near, ops->local_ip4);
		address_map(key->far, ops->remote_ip4);
	} else if (ops->family == FAMILY_IPV6) {
		addresses_take(ops, key);
	} else {
		return false;
	}
	key->netns = bpf_get_netns_cookie(ops);
	key->near_port = ops->local_port;
	key->far_port = bpf_ntohl(ops->remote_port);
	return true;
}

static __always_inline void key_turn(struct end_key *to, const struct end_key *key)
{
	to->netns = key->netns;
	__builtin_memcpy(to->near, key->far, sizeof(to->near));
	__builtin_memcpy(to->far, key->near, sizeof(to->far));
	to->near_port = key->far_port;
	to->far_port = key->near_port;
}

/* Whether what it sends comes back to this host, in this network namespace. */
static __always_inline bool is_local(struct bpf_sock *sk)
{
	struct sock *s = (struct sock *)bpf_skc_to_tcp_sock(sk);

	return s && BPF_CORE_READ(s, sk_dst_cache, dev, flags) & LOOPBACK;
}

/* Both ends are there: counted by who sees it first. */
static __always_inline void ends_met(struct place *server)
{
	if (__sync_lock_test_and_set(&server->is_counted, 1))
		return;
	count(XSR_STREAM_STAT_JOINED, 1);
	count_at(0, XSR_STREAM_STAT_CONNECTIONS, 1);
}

/* Its place is told when it can be sent to. */
static __always_inline void end_publish(struct bpf_sock_ops *ops, struct bpf_sock *sk, struct end_key *key, struct end *e)
{
	struct place at = { .cookie = bpf_get_socket_cookie(ops), .sock = (__u64)bpf_skc_to_tcp_sock(sk) };
	struct place *own, *other;

	bpf_sock_ops_cb_flags_set(ops, ops->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
	if (bpf_sock_hash_update(ops, &sockets, key, BPF_ANY) || bpf_map_update_elem(&places, key, &at, BPF_ANY))
		return;
	own = bpf_map_lookup_elem(&places, key);
	other = bpf_map_lookup_elem(&places, &e->peer);
	if (own && other)
		ends_met(e->is_server ? own : other);
}

static __always_inline void end_begin(struct bpf_sock_ops *ops, bool is_server)
{
	struct bpf_sock *sk = ops->sk;
	struct end_key key;
	struct end *e;

	if (!sk || !key_take(ops, &key) || !is_service(is_server ? key.near : key.far, is_server ? key.near_port : key.far_port))
		return;
	if (!is_local(sk)) {
		count(XSR_STREAM_STAT_NOT_JOINED, 1);
		return;
	}
	e = bpf_sk_storage_get(&ends, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!e)
		return;
	e->is_server = is_server;
	key_turn(&e->peer, &key);
	end_publish(ops, sk, &key, e);
}

static __always_inline void end_close(struct bpf_sock_ops *ops)
{
	struct bpf_sock *sk = ops->sk;
	struct end_key key;
	struct place *own;
	struct end *e;

	if (!sk)
		return;
	e = bpf_sk_storage_get(&ends, sk, NULL, 0);
	if (!e)
		return;
	key_turn(&key, &e->peer);
	own = bpf_map_lookup_elem(&places, &key);
	if (!own || own->cookie != bpf_get_socket_cookie(ops))
		return;
	if (own->is_counted)
		count_at(0, XSR_STREAM_STAT_CONNECTIONS, -1);
	bpf_map_delete_elem(&places, &key);
}

SEC("sockops")
int xsr_join(struct bpf_sock_ops *ops)
{
	switch (ops->op) {
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
		end_begin(ops, false);
		break;
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		end_begin(ops, true);
		break;
	case BPF_SOCK_OPS_STATE_CB:
		if (ops->args[1] == BPF_TCP_CLOSE)
			end_close(ops);
		break;
	}
	return 1;
}

/* --- sk_msg: which way a message goes --- */

/* What of the other end decides. */
struct reader {
	__u64 cookie;
	__u32 copied_seq, room;
};

static __always_inline void reader_look(const struct end *e, struct reader *r)
{
	struct tcp_sock *tcp = (struct tcp_sock *)e->at.sock;
	struct sock *sk = (struct sock *)e->at.sock;
	__u32 limit = (__u32)BPF_CORE_READ(sk, sk_rcvbuf) / 2, waiting = BPF_CORE_READ(sk, sk_backlog.rmem_alloc.counter);

	r->room = waiting < limit ? limit - waiting : 0;
	r->copied_seq = BPF_CORE_READ(tcp, copied_seq);
	r->cookie = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter); /* last: then the rest is of it too */
}

/* How many wait in a system call for the socket; WAITERS_MAX: as many or more. */
static __always_inline int waiters_count(struct sock *sk)
{
	struct socket_wq *wq = BPF_CORE_READ(sk, sk_wq);
	struct list_head *head = (void *)wq + bpf_core_field_offset(wq->wait.head), *at = BPF_CORE_READ(head, next);
	struct wait_queue_entry *entry;
	int i, n = 0;

	for (i = 0; i < WAITERS_MAX && wq; i++) {
		if (at == head)
			return n;
		entry = (void *)at - bpf_core_field_offset(entry->entry);
		n += BPF_CORE_READ(entry, func) == &woken_wake_function;
		at = BPF_CORE_READ(at, next);
	}
	return wq ? WAITERS_MAX : 0;
}

/* References to it by those who are in a system call. */
static __always_inline int psock_users(struct sock *sk)
{
	struct sk_psock *psock = (void *)((__u64)BPF_CORE_READ(sk, sk_user_data) & ~PSOCK_FLAGS);

	return BPF_CORE_READ(psock, refcnt.refs.counter) - 1;
}

/* What is read after it is read after what is read before it. */
static __always_inline void reads_order(struct end *e)
{
	__sync_lock_test_and_set(&e->fence, 0);
}

/*
 * Whether nobody is in TCP's own receive function, which does not see what comes past TCP. All that came by TCP has been taken. So
 * who enters from now on sees what comes past; who is still in there holds the lock, or waits for more than there was, without
 * the reference to the psock that all others have who wait.
 */
static __always_inline bool reader_is_out(struct end *e)
{
	struct sock *sk = (struct sock *)e->at.sock;

	reads_order(e);
	if (BPF_CORE_READ(sk, sk_lock.owned))
		return false;
	reads_order(e);
	if (BPF_CORE_READ(sk, sk_rcvlowat) > 1 || waiters_count(sk) > psock_users(sk))
		e->reads_whole = true;
	reads_order(e);
	return !e->reads_whole && !BPF_CORE_READ(sk, sk_lock.owned);
}

/* It may come later; but if something that was sent is acknowledged, it would have come by now. */
static __always_inline bool peer_find(struct end *e, const struct tcp_sock *from)
{
	struct place *at = bpf_map_lookup_elem(&places, &e->peer);

	if (at) {
		e->at = *at;
		return true;
	}
	if (e->passed && from->snd_una == from->write_seq) {
		e->is_alone = true;
		count(XSR_STREAM_STAT_NOT_JOINED, 1);
	}
	return false;
}

/*
 * Bytes that may go past TCP until the next look. Before the first do, the reader has read something that came by TCP: how it
 * reads is known then.
 */
static __always_inline __u64 room_look(struct end *e, const struct tcp_sock *from)
{
	struct reader r;

	if (!e->at.sock && !peer_find(e, from))
		return 0;
	reader_look(e, &r);
	if (r.cookie != e->at.cookie)
		return 0;
	if (!e->is_past && (!e->passed || r.copied_seq != from->write_seq || !reader_is_out(e)))
		return 0;
	return r.room;
}

static __always_inline bool goes_past(struct end *e, struct sk_msg_md *msg)
{
	struct tcp_sock *from;

	if (is_over || e->is_alone || e->reads_whole)
		return false;
	from = bpf_skc_to_tcp_sock(msg->sk);
	if (!from || ((struct sock *)from)->sk_shutdown & SHUT_SEND)
		return false; /* TCP says so to who sends */
	if (e->credit < msg->size)
		e->credit = room_look(e, from);
	return e->credit >= msg->size;
}

SEC("sk_msg")
int xsr_send(struct sk_msg_md *msg)
{
	struct end *e = bpf_sk_storage_get(&ends, msg->sk, NULL, 0);
	__u32 len = msg->size;

	if (!e)
		return SK_PASS;
	if (goes_past(e, msg) && bpf_msg_redirect_hash(msg, &sockets, &e->peer, BPF_F_INGRESS) == SK_PASS) {
		e->is_past = true;
		e->credit -= len;
		count_redirected(e, len);
		return SK_PASS;
	}
	e->is_past = false;
	e->credit = 0;
	e->passed += len;
	count(XSR_STREAM_STAT_TCP_BYTES, len);
	return SK_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
