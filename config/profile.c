/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "profile.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "form.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define FROM_TEXT 8 /* a width that the profile's arguments replace */

struct compiler {
	struct rule_text text;
	struct xsr_alternative alternatives[XSR_ALTERNATIVES_MAX];
	__u8 n_alternatives;
	__u8 n_none; /* profiles without a form */
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

/* --- arguments: what may stand behind a profile's name --- */

static int arguments_none(struct compiler *c, struct form *forms, char *text)
{
	(void)forms;
	return text ? rule_refuse(&c->text, "\"%s\" is behind a profile that takes no arguments", text) : 0;
}

/* LEN: how many bytes the ID has in this operator's network. */
static int arguments_len(struct compiler *c, struct form *forms, char *text)
{
	uint64_t len;
	int i, ret = rule_number_take(&c->text, "LEN", text, 1, 8, &len);

	for (i = 0; !ret && i < XSR_ALTERNATIVES_MAX && forms[i].id.width; i++)
		forms[i].id.width = len;
	return ret;
}

/* OFF:WIDTH[:OPTION...] */
static int arguments_form(struct compiler *c, struct form *forms, char *text)
{
	return form_parse(&c->text, forms, text);
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
		.arguments = arguments_form,
		.forms = { { .id = { .width = FROM_TEXT } } },
	},
	{
		.name = "suffix",
		.usage = "suffix:OFF:WIDTH[:le][:mask=M][:shift=S][:match=OFF/WIDTH/VALUE[/MASK]]",
		.meaning = "your own protocol: WIDTH bytes (1..8) that begin OFF before the payload's end",
		.arguments = arguments_form,
		.forms = { { .id = { .width = FROM_TEXT, .flags = XSR_ALT_FROM_END } } },
	},
	{
		.name = "none",
		.usage = "none",
		.meaning = "no ID: of TCP services whose connections are moved as they are",
		.arguments = arguments_none,
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
	return rule_refuse(&c->text, "\"%s\" is not a profile; expected one of %s", name, names);
}

/* --- text -> alternatives --- */

static int forms_append(struct compiler *c, const struct profile *profile, const struct form *forms)
{
	int i;

	for (i = 0; i < XSR_ALTERNATIVES_MAX && forms[i].id.width; i++) {
		if (c->n_alternatives == XSR_ALTERNATIVES_MAX)
			return rule_refuse(&c->text,
					   "\"%s\" no longer fits; a rule holds at most %d alternatives",
					   profile->name, XSR_ALTERNATIVES_MAX);
		form_compile(&forms[i], &c->alternatives[c->n_alternatives++]);
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
	c->n_none += !forms[0].id.width;
	return forms_append(c, profile, forms);
}

static void service_fill(struct xsr_service *service, const struct compiler *c)
{
	memcpy(service->alternatives, c->alternatives, sizeof(service->alternatives));
	service->n_alternatives = c->n_alternatives;
	service->flags = (service->flags & ~XSR_SERVICE_FRAMED) | c->service_flags;
	memset(service->rule, 0, sizeof(service->rule));
	memcpy(service->rule, c->text.rule, strlen(c->text.rule));
}

int rule_compile(const char *text, struct xsr_service *service, char *why, size_t why_len)
{
	struct compiler c = { .text = { text, why, why_len } };
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
	if (c.n_none && (c.n_none > 1 || c.n_alternatives))
		return rule_refuse(&c.text, "profile \"none\" takes no other alternative beside it");
	/* Frames are checked before the ID is looked for: no other message would come through. */
	if (c.service_flags & XSR_SERVICE_FRAMED && c.n_alternatives > 1)
		return rule_refuse(&c.text, "profile \"xsr\" takes no other alternative beside it");
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
