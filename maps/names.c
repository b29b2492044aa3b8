/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "names.h"

#include <stddef.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

struct label {
	const char *name;
	const char *meaning;
};

static const struct label stats[] = {
	[XSR_STAT_ROUTE_WORKER] = { "route_worker", "by its route to a worker's socket" },
	[XSR_STAT_ROUTE_PASS] = { "route_pass", "by its route to the kernel's stack" },
	[XSR_STAT_ROUTE_DROP] = { "route_drop", "dropped by its route" },
	[XSR_STAT_ROUTE_UNKNOWN_ACTION] = { "route_unknown_action", "dropped: the route's action is not known" },
	[XSR_STAT_NOT_IP] = { "not_ip", "neither IPv4 nor IPv6: to the stack" },
	[XSR_STAT_NOT_UDP] = { "not_udp", "not UDP: to the stack" },
	[XSR_STAT_FRAGMENT] = { "fragment", "an IP fragment, first or later: to the stack" },
	[XSR_STAT_NO_SERVICE] = { "no_service", "no service at this address and port: to the stack" },
	[XSR_STAT_BAD_ETHERNET] = { "bad_ethernet", "shorter than its Ethernet header or VLAN tags: to the stack" },
	[XSR_STAT_BAD_IPV4] = { "bad_ipv4", "an IPv4 header with impossible lengths or version: to the stack" },
	[XSR_STAT_BAD_IPV6] = { "bad_ipv6", "an IPv6 header with impossible lengths or version: to the stack" },
	[XSR_STAT_BAD_UDP] = { "bad_udp", "a UDP header with an impossible length: to the stack" },
	[XSR_STAT_TOO_MANY_HEADERS] = { "too_many_headers", "more IPv6 extension headers than are read: to the stack" },
	[XSR_STAT_FRAME_BAD_LEN] = { "frame_bad_len", "dropped: the frame's length is not the datagram's" },
	[XSR_STAT_FRAME_BAD_VERSION] = { "frame_bad_version", "dropped: a frame of another version" },
	[XSR_STAT_FRAME_BAD_TYPE] = { "frame_bad_type", "dropped: a frame of unknown type" },
	[XSR_STAT_NO_ID_PASS] = { "no_id_pass", "no session ID in it: to the stack by default" },
	[XSR_STAT_NO_ID_DROP] = { "no_id_drop", "no session ID in it: dropped by default" },
	[XSR_STAT_NO_ID_HASH] = { "no_id_hash", "no session ID in it: to a worker by the sender's hash" },
	[XSR_STAT_NO_ID_NO_WORKER] = { "no_id_no_worker", "no session ID in it, no worker runs: to the stack" },
	[XSR_STAT_NO_ROUTE_PASS] = { "no_route_pass", "its session has no route: to the stack by default" },
	[XSR_STAT_NO_ROUTE_DROP] = { "no_route_drop", "its session has no route: dropped by default" },
	[XSR_STAT_NO_ROUTE_HASH] = { "no_route_hash", "its session has no route: to a worker by the ID's hash" },
	[XSR_STAT_NO_ROUTE_NO_WORKER] = { "no_route_no_worker", "its session has no route, no worker runs: to the stack" },
	[XSR_STAT_STALE_ID_PASS] = { "stale_id_pass", "an old generation of its ID: to the stack by default" },
	[XSR_STAT_STALE_ID_DROP] = { "stale_id_drop", "an old generation of its ID: dropped by default" },
	[XSR_STAT_STALE_ID_HASH] = { "stale_id_hash", "an old generation of its ID: to a worker by the ID's hash" },
	[XSR_STAT_STALE_ID_NO_WORKER] = { "stale_id_no_worker", "an old generation of its ID, no worker runs: to the stack" },
	[XSR_STAT_WORKER_GONE_PASS] = { "worker_gone_pass", "its worker has no socket on this queue: to the stack by default" },
	[XSR_STAT_WORKER_GONE_DROP] = { "worker_gone_drop", "its worker has no socket on this queue: dropped by default" },
	[XSR_STAT_WORKER_GONE_HASH] = { "worker_gone_hash", "its worker has no socket on this queue: to another by the ID's hash" },
	[XSR_STAT_WORKER_GONE_NO_WORKER] = { "worker_gone_no_worker", "its worker has no socket on this queue, nor has another: to the stack" },
};
_Static_assert(ARRAY_SIZE(stats) == XSR_STAT_MAX, "every counter has its label");

static const char *const worker_stats[] = {
	[XSR_WORKER_STAT_RX] = "rx",
	[XSR_WORKER_STAT_TX] = "tx",
	[XSR_WORKER_STAT_RX_BYTES] = "rx_bytes",
	[XSR_WORKER_STAT_TX_BYTES] = "tx_bytes",
	[XSR_WORKER_STAT_BAD_PACKET] = "bad_packet",
	[XSR_WORKER_STAT_NO_SERVICE] = "no_service",
	[XSR_WORKER_STAT_BAD_FRAME] = "bad_frame",
	[XSR_WORKER_STAT_NO_ID] = "no_id",
	[XSR_WORKER_STAT_SESSIONS_FULL] = "sessions_full",
	[XSR_WORKER_STAT_UNEXPECTED] = "unexpected",
	[XSR_WORKER_STAT_TX_FULL] = "tx_full",
	[XSR_WORKER_STAT_TX_ERROR] = "tx_error",
	[XSR_WORKER_STAT_RX_DROPPED] = "rx_dropped",
	[XSR_WORKER_STAT_RX_RING_FULL] = "rx_ring_full",
	[XSR_WORKER_STAT_FILL_EMPTY] = "fill_empty",
	[XSR_WORKER_STAT_WAKEUPS] = "wakeups",
	[XSR_WORKER_STAT_SESSIONS] = "sessions",
	[XSR_WORKER_STAT_HANDOFFS_IN] = "handoffs_in",
	[XSR_WORKER_STAT_HANDOFFS_OUT] = "handoffs_out",
	[XSR_WORKER_STAT_HELD] = "held",
	[XSR_WORKER_STAT_HOLD_OVERFLOW] = "hold_overflow",
	[XSR_WORKER_STAT_NO_FENCE] = "no_fence",
	[XSR_WORKER_STAT_LATE_FENCE] = "late_fence",
	[XSR_WORKER_STAT_STATE_REFUSED] = "state_refused",
	[XSR_WORKER_STAT_STALE] = "stale",
};
_Static_assert(ARRAY_SIZE(worker_stats) == XSR_WORKER_STAT_MAX, "every worker counter has its name");

static const struct label stream_stats[] = {
	[XSR_STREAM_STAT_CONNECTIONS] = { "connections", "clients that are connected now" },
	[XSR_STREAM_STAT_SESSIONS] = { "sessions", "sessions that are bound to a connection now" },
	[XSR_STREAM_STAT_BACKENDS] = { "backends", "connections to backends that are up now" },
	[XSR_STREAM_STAT_ACCEPTED] = { "accepted", "connections of clients" },
	[XSR_STREAM_STAT_REFUSED] = { "refused", "connections closed at once: there are as many as there may be" },
	[XSR_STREAM_STAT_HELLOS] = { "hellos", "sessions begun" },
	[XSR_STREAM_STAT_RESUMED] = { "resumed", "sessions that came along from another connection" },
	[XSR_STREAM_STAT_REJECTED] = { "rejected", "sessions refused: HELLOs answered by reject or busy" },
	[XSR_STREAM_STAT_REQUESTS] = { "requests", "frames passed on to a backend" },
	[XSR_STREAM_STAT_REPLIES] = { "replies", "frames passed on to a client" },
	[XSR_STREAM_STAT_REQUEST_BYTES] = { "request_bytes", "bytes passed on to backends" },
	[XSR_STREAM_STAT_REPLY_BYTES] = { "reply_bytes", "bytes passed on to clients" },
	[XSR_STREAM_STAT_STRAY_REPLIES] = { "stray_replies", "replies dropped: their session has no connection here" },
	[XSR_STREAM_STAT_ERR_NO_BACKEND] = { "err_no_backend", "requests answered by an error: their backend was lost, or is not there" },
	[XSR_STREAM_STAT_ERR_STALE] = { "err_stale", "requests answered by an error: their session has gone to another connection" },
	[XSR_STREAM_STAT_ERR_DEADLINE] = { "err_deadline", "requests answered by an error: no reply came in time" },
	[XSR_STREAM_STAT_ERR_OVERFLOW] = { "err_overflow", "requests answered by an error: there was no room for them" },
	[XSR_STREAM_STAT_ERR_NO_HANDSHAKE] = { "err_no_handshake", "requests answered by an error: their session had not begun" },
	[XSR_STREAM_STAT_CLOSED_BY_PEER] = { "closed_by_peer", "connections that the client ended" },
	[XSR_STREAM_STAT_CLOSED_RESET] = { "closed_reset", "connections that were reset, or failed otherwise" },
	[XSR_STREAM_STAT_CLOSED_BAD_LEN] = { "closed_bad_len", "connections closed: a frame of impossible length" },
	[XSR_STREAM_STAT_CLOSED_BAD_VERSION] = { "closed_bad_version", "connections closed: a frame of another version" },
	[XSR_STREAM_STAT_CLOSED_BAD_TYPE] = { "closed_bad_type", "connections closed: a frame of unknown type" },
	[XSR_STREAM_STAT_CLOSED_HALF_FRAME] = { "closed_half_frame", "connections that the client ended in the middle of a frame" },
	[XSR_STREAM_STAT_CLOSED_SLOW] = { "closed_slow", "connections closed: a frame, or the handshake, was not whole in time" },
	[XSR_STREAM_STAT_CLOSED_SILENT] = { "closed_silent", "connections closed: two heartbeats had no answer" },
	[XSR_STREAM_STAT_CLOSED_IDLE] = { "closed_idle", "connections closed: nothing came or went for too long" },
	[XSR_STREAM_STAT_CLOSED_TAKEN] = { "closed_taken", "connections closed: all their sessions have gone to others" },
	[XSR_STREAM_STAT_CLOSED_HANDOVER] = { "closed_handover", "connections closed: on their way to another worker, which could not take them" },
	[XSR_STREAM_STAT_CLOSED_BACKEND] = { "closed_backend", "connections closed: that of the backend had ended" },
	[XSR_STREAM_STAT_CLOSED_STOP] = { "closed_stop", "connections closed: the router, or the service, ended" },
	[XSR_STREAM_STAT_BACKEND_CONNECTED] = { "backend_connected", "connections to backends that came up" },
	[XSR_STREAM_STAT_BACKEND_FAILED] = { "backend_failed", "connections to backends that did not come up, or broke the handshake" },
	[XSR_STREAM_STAT_BACKEND_LOST] = { "backend_lost", "connections to backends that were up and ended" },
	[XSR_STREAM_STAT_STALLS] = { "stalls", "times that a connection was not read on: what it sends to was full, or held" },
	[XSR_STREAM_STAT_MOVES] = { "moves", "sessions moved to another backend" },
	[XSR_STREAM_STAT_HANDED_OVER] = { "handed_over", "connections that went on to another worker" },
	[XSR_STREAM_STAT_TAKEN_OVER] = { "taken_over", "connections that came from another worker" },
	[XSR_STREAM_STAT_JOINED] = { "joined", "mode local: connections whose two ends the kernel joined" },
	[XSR_STREAM_STAT_NOT_JOINED] = { "not_joined", "mode local: connections of which one end alone is in the cgroup of this host" },
	[XSR_STREAM_STAT_TCP_BYTES] = { "tcp_bytes", "mode local: bytes that joined connections sent by TCP all the same" },
};
_Static_assert(ARRAY_SIZE(stream_stats) == XSR_STREAM_STAT_MAX, "every counter of a TCP service has its label");

static const char *const stream_modes[] = {
	[XSR_STREAM_NONE] = "none",	[XSR_STREAM_EPOLL] = "epoll", [XSR_STREAM_FRAMES] = "frames",
	[XSR_STREAM_SPLICE] = "splice", [XSR_STREAM_RELAY] = "relay", [XSR_STREAM_LOCAL] = "local",
};
_Static_assert(ARRAY_SIZE(stream_modes) == XSR_STREAM_MAX, "every mode has its name");

static const char *const actions[] = {
	[XSR_ACTION_NONE] = "none",	[XSR_ACTION_PASS] = "pass", [XSR_ACTION_DROP] = "drop",
	[XSR_ACTION_WORKER] = "worker", [XSR_ACTION_HASH] = "hash",
	[XSR_ACTION_BACKEND] = "backend",
};
_Static_assert(ARRAY_SIZE(actions) == XSR_ACTION_MAX, "every action has its name");

const char *stat_name(enum xsr_stat stat)
{
	return (unsigned int)stat < XSR_STAT_MAX ? stats[stat].name : "?";
}

const char *stat_meaning(enum xsr_stat stat)
{
	return (unsigned int)stat < XSR_STAT_MAX ? stats[stat].meaning : "?";
}

const char *worker_stat_name(enum xsr_worker_stat stat)
{
	return (unsigned int)stat < XSR_WORKER_STAT_MAX ? worker_stats[stat] : "?";
}

const char *stream_stat_name(enum xsr_stream_stat stat)
{
	return (unsigned int)stat < XSR_STREAM_STAT_MAX ? stream_stats[stat].name : "?";
}

const char *stream_stat_meaning(enum xsr_stream_stat stat)
{
	return (unsigned int)stat < XSR_STREAM_STAT_MAX ? stream_stats[stat].meaning : "?";
}

const char *stream_mode_name(enum xsr_stream_mode mode)
{
	return (unsigned int)mode < XSR_STREAM_MAX ? stream_modes[mode] : "?";
}

const char *action_name(enum xsr_action action)
{
	return (unsigned int)action < XSR_ACTION_MAX ? actions[action] : "?";
}
