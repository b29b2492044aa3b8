/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The maps of an instance, as the kernel's programs see them. All are pinned
 * by name, so whoever loads a program finds the routes that are there. A map
 * that only one hook uses stays in that hook's file.
 */
#ifndef XSR_MAPS_BPF_H
#define XSR_MAPS_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "types.h"

/* Destination port (host order) -> first service. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, struct xsr_port);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} xsr_ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, XSR_SERVICES_MAX);
	__type(key, __u32);
	__type(value, struct xsr_service);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} xsr_services SEC(".maps");

/* Dense routes: a service owns dense_base .. dense_base + dense_len - 1. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, XSR_DENSE_DEFAULT);
	__type(key, __u32);
	__type(value, struct xsr_route);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} xsr_dense SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, XSR_ROUTES_DEFAULT);
	__type(key, struct xsr_route_key);
	__type(value, struct xsr_route);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} xsr_routes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, XSR_BUCKETS_MAX);
	__type(key, __u32);
	__type(value, struct xsr_bucket);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} xsr_buckets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, XSR_DEVICES_MAX);
	__type(key, __u32);
	__type(value, struct xsr_device);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} xsr_devices SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, XSR_SLOTS_MAX);
	__type(key, __u32);
	__type(value, struct xsr_slot);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} xsr_slots SEC(".maps");

/* By the queue's number in the instance. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, XSR_QUEUES_MAX);
	__type(key, __u32);
	__type(value, struct xsr_runs);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} xsr_runs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct xsr_switches);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} xsr_switches SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, XSR_SLOTS_MAX);
	__type(key, __u32);
	__type(value, __u32);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} xsr_sockets SEC(".maps");

/* Service -> what happened to its messages; entry 0: to those of no service. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, XSR_SERVICES_MAX);
	__type(key, __u32);
	__type(value, struct xsr_counters);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} xsr_stats SEC(".maps");

/* Written by the workers through their mapping; no program touches it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, XSR_WORKERS_MAX);
	__type(key, __u32);
	__type(value, struct xsr_worker_counters);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} xsr_workers SEC(".maps");

/* What stands behind TCP services; these three are user space's alone, too. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, XSR_BACKENDS_MAX);
	__type(key, __u32);
	__type(value, struct xsr_backend);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} xsr_backends SEC(".maps");

/* Entry service * 64 + worker: see xsr_stream_index(). */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, XSR_STREAMS_MAX);
	__type(key, __u32);
	__type(value, struct xsr_stream_counters);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} xsr_streams SEC(".maps");

/* By the service. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, XSR_SERVICES_MAX);
	__type(key, __u32);
	__type(value, struct xsr_stream_state);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} xsr_streamstate SEC(".maps");

#endif /* XSR_MAPS_BPF_H */
