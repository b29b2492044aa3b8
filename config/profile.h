/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A rule as the operator writes it -> the alternatives that the kernel runs.
 *
 *   RULE        = ALTERNATIVE { "," ALTERNATIVE }       at most 4 compiled alternatives
 *   ALTERNATIVE = PROFILE [ ":" ARGUMENTS ]
 *
 * Profiles: xsr, quic-lb:LEN, gtpu, wireguard, dtls-cid:LEN, vxlan, geneve,
 * offset:OFF:WIDTH[:le][:mask=M][:shift=S][:match=OFF/WIDTH/VALUE[/MASK]] and
 * suffix:OFF:WIDTH[...], whose OFF counts back from the payload's end to the
 * ID's first byte. Offsets are in bytes from the first of the UDP payload, at
 * most XSR_OFFSET_MAX. The ID is (the WIDTH bytes >> S) & M; the alternative
 * holds for messages whose bytes at the match's OFF, read as big endian, give
 * VALUE under MASK. Numbers are as number_parse() takes them. Some profiles
 * compile to several alternatives; xsr takes no other beside it. The profile none compiles to no alternative, and stands
 * alone: there is no ID.
 */
#ifndef XSR_PROFILE_H
#define XSR_PROFILE_H

#include <stddef.h>

#include "types.h"

/*
 * Compiles `text` into service->alternatives, n_alternatives, the FRAMED flag and
 * service->rule; leaves everything else of *service alone, and all of it if it fails.
 * Unused alternatives are zeroed. Returns 0, or -EINVAL with one sentence in
 * `why` that says what is wrong with which part and what was expected. Any thread.
 */
int rule_compile(const char *text, struct xsr_service *service, char *why, size_t why_len);

/* One line a profile, for `help`: returns the i-th's usage and meaning, NULL past the last. */
const char *rule_profile_usage(int i, const char **meaning);

#endif /* XSR_PROFILE_H */
