/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "profile.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "service_spec.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define FROM_TEXT 8 /* a width that the profile's arguments replace */

/* The message is of this form if (bytes there, big endian) & mask == value. */
struct match {
	__u16 offset;
	__u8 width; /* 1, 2 or 4 bytes; 0 = every message */
	__u32 mask;
	__u32 value;
};

/* Where the ID is. */
struct place {
	__u16 offset; /* of its first byte; with FROM_END back from the payload's end */
	__u8 width;   /* bytes */
	__u8 flags;   /* XSR_ALT_* */
	__u8 shift;   /* bits to the right */
	__u64 mask;   /* after the shift; 0 = all that the width holds */
};

/* One form that a protocol's messages take. */
struct form {
	struct match match;
	struct place id;
};

struct compiler {
	const char *rule; /* the whole text, for the sentence if it fails */
	char *why;
	size_t why_len;
	struct xsr_alternative alternatives[XSR_ALTERNATIVES_MAX];
	__u8 n_alternatives;
	__u8 service_flags;
};

/* `arguments` changes the copied forms as the text behind "NAME:" says; NULL = no text. */
struct profile {
	const char *name;
	const char *usage;
	const char *meaning;
	int (*arguments)(struct compiler *c, struct form *forms, char *text);
	__u8 service_flags;
	struct form forms[XSR_ALTERNATIVES_MAX]; /* those that have a width */
};

__attribute__((format(printf, 2, 3))) static int refuse(const struct compiler *c, const char *fmt, ...)
{
	va_list args;
	int len = snprintf(c->why, c->why_len, "rule \"%s\": ", c->rule);

	if (len < 0 || (size_t)len >= c->why_len)
		return -EINVAL;
	va_start(args, fmt);
	vsnprintf(c->why + len, c->why_len - len, fmt, args);
	va_end(args);
	return -EINVAL;
}

static int number_take(const struct compiler *c, const char *what, const char *text, uint64_t min,
		       uint64_t max, uint64_t *out)
{
	bool is_bits = max > 0xffff; /* read better in hex */
	char range[48];

	if (text && !number_parse(text, max, out) && *out >= min)
		return 0;
	snprintf(range, sizeof(range), is_bits ? "%#jx to %#jx" : "%ju to %ju", (uintmax_t)min,
		 (uintmax_t)max);
	if (!text)
		return refuse(c, "%s is missing; expected a number from %s", what, range);
	return refuse(c, "%s \"%s\" is not a number from %s", what, text, range);
}

/* n from 1 to 64 */
static uint64_t low_bits(unsigned int n)
{
	return UINT64_MAX >> (64 - n);
}

/* --- options of offset and suffix --- */

static int option_le(struct compiler *c, struct form *form, char *value)
{
	(void)c;
	(void)value;
	form->id.flags |= XSR_ALT_LITTLE_ENDIAN;
	return 0;
}

static int option_mask(struct compiler *c, struct form *form, char *value)
{
	uint64_t mask;
	int ret = number_take(c, "mask", value, 1, UINT64_MAX, &mask);

	if (!ret)
		form->id.mask = mask;
	return ret;
}

static int option_shift(struct compiler *c, struct form *form, char *value)
{
	uint64_t shift;
	int ret = number_take(c, "shift", value, 0, form->id.width * 8 - 1, &shift);

	if (!ret)
		form->id.shift = shift;
	return ret;
}

static int match_check(struct compiler *c, uint64_t width, uint64_t value, uint64_t mask)
{
	if (width == 3)
		return refuse(c, "match width \"3\" is not 1, 2 or 4");
	if (value & ~mask)
		return refuse(c, "match value %#jx has bits outside its mask %#jx and would never match",
			      (uintmax_t)value, (uintmax_t)mask);
	return 0;
}

/* OFF/WIDTH/VALUE[/MASK] */
static int option_match(struct compiler *c, struct form *form, char *text)
{
	uint64_t offset, width, value, mask;
	int ret;

	ret = number_take(c, "match offset", strsep(&text, "/"), 0, XSR_OFFSET_MAX, &offset);
	if (!ret)
		ret = number_take(c, "match width", strsep(&text, "/"), 1, 4, &width);
	if (ret)
		return ret;
	mask = low_bits(width * 8);
	ret = number_take(c, "match value", strsep(&text, "/"), 0, mask, &value);
	if (!ret && text)
		ret = number_take(c, "match mask", strsep(&text, "/"), 1, mask, &mask);
	if (!ret && text)
		ret = refuse(c, "\"%s\" is behind the match; expected OFF/WIDTH/VALUE[/MASK]", text);
	if (!ret)
		ret = match_check(c, width, value, mask);
	if (!ret)
		form->match = (struct match){ offset, width, mask, value };
	return ret;
}

static const struct {
	const char *name;
	bool has_value;
	int (*set)(struct compiler *c, struct form *form, char *value);
} options[] = {
	{ "le", false, option_le },
	{ "mask", true, option_mask },
	{ "shift", true, option_shift },
	{ "match", true, option_match },
};

static int option_take(struct compiler *c, struct form *form, char *text, unsigned int *seen)
{
	char *value = text;
	const char *name = strsep(&value, "=");
	unsigned int i = 0;

	while (i < ARRAY_SIZE(options) && strcmp(options[i].name, name))
		i++;
	if (i == ARRAY_SIZE(options) || options[i].has_value != (value != NULL))
		return refuse(c,
			      "\"%s%s%s\" is not an option; expected le, mask=M, shift=S or "
			      "match=OFF/WIDTH/VALUE[/MASK]",
			      name, value ? "=" : "", value ? value : "");
	if (*seen & 1u << i)
		return refuse(c, "option \"%s\" is given twice", name);
	*seen |= 1u << i;
	return options[i].set(c, form, value);
}

/* --- arguments: what may stand behind a profile's name --- */

static int arguments_none(struct compiler *c, struct form *forms, char *text)
{
	(void)forms;
	return text ? refuse(c, "\"%s\" is behind a profile that takes no arguments", text) : 0;
}

/* LEN: how many bytes the ID has in this operator's network. */
static int arguments_len(struct compiler *c, struct form *forms, char *text)
{
	uint64_t len;
	int i, ret = number_take(c, "LEN", text, 1, 8, &len);

	for (i = 0; !ret && i < XSR_ALTERNATIVES_MAX && forms[i].id.width; i++)
		forms[i].id.width = len;
	return ret;
}

/* OFF:WIDTH[:OPTION...] */
static int arguments_place(struct compiler *c, struct form *form, char *text)
{
	bool from_end = form->id.flags & XSR_ALT_FROM_END;
	uint64_t offset, width, keeps;
	unsigned int seen = 0;
	int ret;

	ret = number_take(c, "OFF", strsep(&text, ":"), from_end, XSR_OFFSET_MAX, &offset);
	if (!ret)
		ret = number_take(c, "WIDTH", strsep(&text, ":"), 1, 8, &width);
	if (ret)
		return ret;
	if (from_end && offset < width)
		return refuse(c,
			      "%ju bytes that begin %ju before the payload's end run past it; "
			      "expected OFF of at least WIDTH",
			      (uintmax_t)width, (uintmax_t)offset);
	form->id.offset = offset;
	form->id.width = width;
	while (!ret && text)
		ret = option_take(c, form, strsep(&text, ":"), &seen);
	if (ret)
		return ret;
	keeps = low_bits(width * 8 - form->id.shift);
	if (form->id.mask && !(form->id.mask & keeps))
		return refuse(c, "mask %#jx keeps no bit of the ID; expected some of %#jx",
			      (uintmax_t)form->id.mask, (uintmax_t)keeps);
	return 0;
}

/* --- the profiles --- */

/*
 * quic-lb: the server ID follows the first octet of a connection ID that the SERVER
 * chose (draft-ietf-quic-load-balancers). Every short header carries such a one. Of the
 * long headers of QUIC version 1 (RFC 9000, 17.2) only types 2 and 3, Handshake and
 * Retry, do so for sure: in Initial and 0-RTT it may be one that the client made up, and
 * that must not choose a worker. Version 2 numbers its types otherwise (RFC 9369, 3.2):
 * there 0-RTT is type 2, so an ID is read from it, which most likely has no route.
 *
 * gtpu: version 1, protocol type 1, message type 255 (3GPP TS 29.281, 5.1 and 6.1);
 * signalling is not part of a tunnel's traffic.
 *
 * dtls-cid: a DTLS 1.2 record of type 25 has its connection ID behind epoch and sequence
 * number (RFC 9146, 4); the unified header of DTLS 1.3, 001CSLEE, has it second if C is
 * set (RFC 9147, 4).
 *
 * vxlan: RFC 7348, 5. geneve: RFC 8926, 3.4.
 */
static const struct profile profiles[] = {
	{
		.name = "xsr",
		.usage = "xsr",
		.meaning = "xsr's own frames, which are checked: 8 bytes at 8",
		.arguments = arguments_none,
		.service_flags = XSR_SERVICE_FRAMED,
		.forms = { { .id = { .offset = 8, .width = 8 } } },
	},
	{
		.name = "quic-lb",
		.usage = "quic-lb:LEN",
		.meaning = "QUIC: LEN bytes (1..8) of server ID behind the first octet of the destination CID",
		.arguments = arguments_len,
		.forms = {
			{ .match = { .width = 1, .mask = 0x80, .value = 0x00 }, .id = { .offset = 2, .width = FROM_TEXT } },
			{ .match = { .width = 1, .mask = 0xa0, .value = 0xa0 }, .id = { .offset = 7, .width = FROM_TEXT } },
		},
	},
	{
		.name = "gtpu",
		.usage = "gtpu",
		.meaning = "GTP-U: the TEID of a G-PDU",
		.arguments = arguments_none,
		.forms = {
			{ .match = { .width = 2, .mask = 0xf0ff, .value = 0x30ff }, .id = { .offset = 4, .width = 4 } },
		},
	},
	{
		.name = "wireguard",
		.usage = "wireguard",
		.meaning = "WireGuard: the receiver index of types 2, 3 and 4; type 1 has none",
		.arguments = arguments_none,
		/* Data first: it is nearly all of the traffic. */
		.forms = {
			{ .match = { .width = 4, .mask = 0xffffffff, .value = 0x04000000 },
			  .id = { .offset = 4, .width = 4, .flags = XSR_ALT_LITTLE_ENDIAN } },
			{ .match = { .width = 4, .mask = 0xffffffff, .value = 0x02000000 },
			  .id = { .offset = 8, .width = 4, .flags = XSR_ALT_LITTLE_ENDIAN } },
			{ .match = { .width = 4, .mask = 0xffffffff, .value = 0x03000000 },
			  .id = { .offset = 4, .width = 4, .flags = XSR_ALT_LITTLE_ENDIAN } },
		},
	},
	{
		.name = "dtls-cid",
		.usage = "dtls-cid:LEN",
		.meaning = "DTLS 1.2 and 1.3: a connection ID of LEN bytes (1..8)",
		.arguments = arguments_len,
		.forms = {
			{ .match = { .width = 1, .mask = 0xff, .value = 25 }, .id = { .offset = 11, .width = FROM_TEXT } },
			{ .match = { .width = 1, .mask = 0xf0, .value = 0x30 }, .id = { .offset = 1, .width = FROM_TEXT } },
		},
	},
	{
		.name = "vxlan",
		.usage = "vxlan",
		.meaning = "VXLAN: the network identifier, if flag I says that it is there",
		.arguments = arguments_none,
		.forms = { { .match = { .width = 1, .mask = 0x08, .value = 0x08 }, .id = { .offset = 4, .width = 3 } } },
	},
	{
		.name = "geneve",
		.usage = "geneve",
		.meaning = "Geneve version 0: the network identifier",
		.arguments = arguments_none,
		.forms = { { .match = { .width = 1, .mask = 0xc0, .value = 0x00 }, .id = { .offset = 4, .width = 3 } } },
	},
	{
		.name = "offset",
		.usage = "offset:OFF:WIDTH[:le][:mask=M][:shift=S][:match=OFF/WIDTH/VALUE[/MASK]]",
		.meaning = "your own protocol: WIDTH bytes (1..8) at OFF",
		.arguments = arguments_place,
		.forms = { { .id = { .width = FROM_TEXT } } },
	},
	{
		.name = "suffix",
		.usage = "suffix:OFF:WIDTH[:le][:mask=M][:shift=S][:match=OFF/WIDTH/VALUE[/MASK]]",
		.meaning = "your own protocol: WIDTH bytes (1..8) that begin OFF before the payload's end",
		.arguments = arguments_place,
		.forms = { { .id = { .width = FROM_TEXT, .flags = XSR_ALT_FROM_END } } },
	},
};

static const struct profile *profile_find(const char *name)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(profiles); i++)
		if (!strcmp(profiles[i].name, name))
			return &profiles[i];
	return NULL;
}

static int profile_refuse(const struct compiler *c, const char *name)
{
	char names[160] = "";
	size_t len = 0;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(profiles) && len < sizeof(names); i++)
		len += snprintf(names + len, sizeof(names) - len, "%s%s", i ? ", " : "", profiles[i].name);
	return refuse(c, "\"%s\" is not a profile; expected one of %s", name, names);
}

/* --- text -> alternatives --- */

/* The loads END at a place and take more bytes than the width: see struct xsr_alternative. */
static void alternative_fill(struct xsr_alternative *alt, const struct form *form)
{
	const struct match *match = &form->match;
	const struct place *id = &form->id;
	unsigned int bits = id->width * 8;

	alt->match_end = match->width ? match->offset + match->width : 0;
	alt->match_mask = match->mask;
	alt->match_value = match->value;
	alt->id_end = id->flags & XSR_ALT_FROM_END ? id->offset - id->width : id->offset + id->width;
	alt->id_width = id->width;
	alt->id_shift = id->shift + (id->flags & XSR_ALT_LITTLE_ENDIAN ? 64 - bits : 0);
	alt->id_mask = (id->mask ? id->mask : UINT64_MAX) & low_bits(bits - id->shift);
	alt->flags = id->flags;
}

static int forms_append(struct compiler *c, const struct profile *profile, const struct form *forms)
{
	int i;

	for (i = 0; i < XSR_ALTERNATIVES_MAX && forms[i].id.width; i++) {
		if (c->n_alternatives == XSR_ALTERNATIVES_MAX)
			return refuse(c, "\"%s\" no longer fits; a rule holds at most %d alternatives",
				      profile->name, XSR_ALTERNATIVES_MAX);
		alternative_fill(&c->alternatives[c->n_alternatives++], &forms[i]);
	}
	return 0;
}

static int alternative_compile(struct compiler *c, char *text)
{
	const char *name = strsep(&text, ":");
	const struct profile *profile = profile_find(name);
	struct form forms[XSR_ALTERNATIVES_MAX];
	int ret;

	if (!profile)
		return profile_refuse(c, name);
	memcpy(forms, profile->forms, sizeof(forms));
	ret = profile->arguments(c, forms, text);
	if (ret)
		return ret;
	c->service_flags |= profile->service_flags;
	return forms_append(c, profile, forms);
}

static void service_fill(struct xsr_service *service, const struct compiler *c)
{
	memcpy(service->alternatives, c->alternatives, sizeof(service->alternatives));
	service->n_alternatives = c->n_alternatives;
	service->flags = (service->flags & ~XSR_SERVICE_FRAMED) | c->service_flags;
	memset(service->rule, 0, sizeof(service->rule));
	memcpy(service->rule, c->rule, strlen(c->rule));
}

int rule_compile(const char *text, struct xsr_service *service, char *why, size_t why_len)
{
	struct compiler c = { .rule = text, .why = why, .why_len = why_len };
	char buf[XSR_RULE_LEN], *rest = buf;
	int ret = 0;

	if (strlen(text) >= sizeof(buf)) {
		snprintf(why, why_len, "rule \"%.16s...\" is %zu characters long; at most %zu fit", text,
			 strlen(text), sizeof(buf) - 1);
		return -EINVAL;
	}
	strcpy(buf, text);
	while (!ret && rest)
		ret = alternative_compile(&c, strsep(&rest, ","));
	if (ret)
		return ret;
	/* Frames are checked before the ID is looked for: no other message would come through. */
	if (c.service_flags & XSR_SERVICE_FRAMED && c.n_alternatives > 1)
		return refuse(&c, "profile \"xsr\" takes no other alternative beside it");
	service_fill(service, &c);
	return 0;
}

const char *rule_profile_usage(int i, const char **meaning)
{
	if (i < 0 || (size_t)i >= ARRAY_SIZE(profiles))
		return NULL;
	*meaning = profiles[i].meaning;
	return profiles[i].usage;
}
