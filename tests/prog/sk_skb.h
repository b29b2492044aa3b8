/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Small programs for sockmaps that a test writes itself, to see what they do, or to put them in the place of the real ones. */
#ifndef XSR_TEST_SK_SKB_H
#define XSR_TEST_SK_SKB_H

#include <bpf/bpf.h>
#include <linux/bpf.h>

static inline int skb_load(enum bpf_attach_type type, const struct bpf_insn *insns, size_t n)
{
	LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = type);
	int fd = bpf_prog_load(BPF_PROG_TYPE_SK_SKB, "test", "GPL", insns, n, &options);

	assert_true(fd >= 0);
	return fd;
}

/* It says this number, always. */
static inline int skb_load_constant(enum bpf_attach_type type, int value)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = value },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return skb_load(type, insns, 2);
}

/* A parser: what has come is a message, from the segment's start on. */
static inline int skb_load_len(void)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = BPF_REG_0, .src_reg = BPF_REG_1, .off = offsetof(struct __sk_buff, len) },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return skb_load(BPF_SK_SKB_STREAM_PARSER, insns, 2);
}

/* A verdict: all goes to what stands in that map at `key`, with so many bytes more at its end, or less. */
static inline int skb_load_redirect(int map, uint32_t key, int flags, int more)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_6, .src_reg = BPF_REG_1 },
		{ .code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = BPF_REG_2, .src_reg = BPF_REG_1, .off = offsetof(struct __sk_buff, len) },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = BPF_REG_2, .imm = more },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3, .imm = 0 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_skb_change_tail },
		{ .code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = BPF_REG_10, .off = -4, .imm = key },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_1, .src_reg = BPF_REG_6 },
		{ .code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = BPF_REG_2, .src_reg = BPF_PSEUDO_MAP_FD, .imm = map },
		{},
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_3, .src_reg = BPF_REG_10 },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = BPF_REG_3, .imm = -4 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_4, .imm = flags },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_sk_redirect_hash },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return skb_load(BPF_SK_SKB_STREAM_VERDICT, insns, sizeof(insns) / sizeof(insns[0]));
}

/* In the place of what was there. */
static inline void skb_attach(int program, int map, enum bpf_attach_type type)
{
	assert_int_equal(bpf_prog_attach(program, map, type, 0), 0);
	close(program); /* the map holds it */
}

#endif /* XSR_TEST_SK_SKB_H */
