/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "form.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "service_spec.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

int rule_refuse(const struct rule_text *t, const char *fmt, ...)
{
	va_list args;
	int len = snprintf(t->why, t->why_len, "rule \"%s\": ", t->rule);

	if (len < 0 || (size_t)len >= t->why_len)
		return -EINVAL;
	va_start(args, fmt);
	vsnprintf(t->why + len, t->why_len - len, fmt, args);
	va_end(args);
	return -EINVAL;
}

int rule_number_take(const struct rule_text *t, const char *what, const char *text, uint64_t min,
		     uint64_t max, uint64_t *out)
{
	bool is_bits = max > 0xffff; /* read better in hex */
	char range[48];

	if (text && !number_parse(text, max, out) && *out >= min)
		return 0;
	snprintf(range, sizeof(range), is_bits ? "%#jx to %#jx" : "%ju to %ju", (uintmax_t)min,
		 (uintmax_t)max);
	if (!text)
		return rule_refuse(t, "%s is missing; expected a number from %s", what, range);
	return rule_refuse(t, "%s \"%s\" is not a number from %s", what, text, range);
}

/* n from 1 to 64 */
static uint64_t low_bits(unsigned int n)
{
	return UINT64_MAX >> (64 - n);
}

/* --- options of offset and suffix --- */

static int option_le(const struct rule_text *t, struct form *form, char *value)
{
	(void)t;
	(void)value;
	form->id.flags |= XSR_ALT_LITTLE_ENDIAN;
	return 0;
}

static int option_mask(const struct rule_text *t, struct form *form, char *value)
{
	uint64_t mask;
	int ret = rule_number_take(t, "mask", value, 1, UINT64_MAX, &mask);

	if (!ret)
		form->id.mask = mask;
	return ret;
}

static int option_shift(const struct rule_text *t, struct form *form, char *value)
{
	uint64_t shift;
	int ret = rule_number_take(t, "shift", value, 0, form->id.width * 8 - 1, &shift);

	if (!ret)
		form->id.shift = shift;
	return ret;
}

static int match_check(const struct rule_text *t, uint64_t width, uint64_t value, uint64_t mask)
{
	if (width == 3)
		return rule_refuse(t, "match width \"3\" is not 1, 2 or 4");
	if (value & ~mask)
		return rule_refuse(t, "match value %#jx has bits outside its mask %#jx and would never match",
				   (uintmax_t)value, (uintmax_t)mask);
	return 0;
}

/* OFF/WIDTH/VALUE[/MASK] */
static int option_match(const struct rule_text *t, struct form *form, char *text)
{
	uint64_t offset, width, value, mask;
	int ret;

	ret = rule_number_take(t, "match offset", strsep(&text, "/"), 0, XSR_OFFSET_MAX, &offset);
	if (!ret)
		ret = rule_number_take(t, "match width", strsep(&text, "/"), 1, 4, &width);
	if (ret)
		return ret;
	mask = low_bits(width * 8);
	ret = rule_number_take(t, "match value", strsep(&text, "/"), 0, mask, &value);
	if (!ret && text)
		ret = rule_number_take(t, "match mask", strsep(&text, "/"), 1, mask, &mask);
	if (!ret && text)
		ret = rule_refuse(t, "\"%s\" is behind the match; expected OFF/WIDTH/VALUE[/MASK]", text);
	if (!ret)
		ret = match_check(t, width, value, mask);
	if (!ret)
		form->match = (struct match){ offset, width, mask, value };
	return ret;
}

static const struct {
	const char *name;
	bool has_value;
	int (*set)(const struct rule_text *t, struct form *form, char *value);
} options[] = {
	{ "le", false, option_le },
	{ "mask", true, option_mask },
	{ "shift", true, option_shift },
	{ "match", true, option_match },
};

static int option_take(const struct rule_text *t, struct form *form, char *text, unsigned int *seen)
{
	char *value = text;
	const char *name = strsep(&value, "=");
	unsigned int i = 0;

	while (i < ARRAY_SIZE(options) && strcmp(options[i].name, name))
		i++;
	if (i == ARRAY_SIZE(options) || options[i].has_value != (value != NULL))
		return rule_refuse(t,
				   "\"%s%s%s\" is not an option; expected le, mask=M, shift=S or "
				   "match=OFF/WIDTH/VALUE[/MASK]",
				   name, value ? "=" : "", value ? value : "");
	if (*seen & 1u << i)
		return rule_refuse(t, "option \"%s\" is given twice", name);
	*seen |= 1u << i;
	return options[i].set(t, form, value);
}

/* OFF:WIDTH[:OPTION...] */
int form_parse(const struct rule_text *t, struct form *form, char *text)
{
	bool from_end = form->id.flags & XSR_ALT_FROM_END;
	uint64_t offset, width, keeps;
	unsigned int seen = 0;
	int ret;

	ret = rule_number_take(t, "OFF", strsep(&text, ":"), from_end, XSR_OFFSET_MAX, &offset);
	if (!ret)
		ret = rule_number_take(t, "WIDTH", strsep(&text, ":"), 1, 8, &width);
	if (ret)
		return ret;
	if (from_end && offset < width)
		return rule_refuse(t,
				   "%ju bytes that begin %ju before the payload's end run past it; "
				   "expected OFF of at least WIDTH",
				   (uintmax_t)width, (uintmax_t)offset);
	form->id.offset = offset;
	form->id.width = width;
	while (!ret && text)
		ret = option_take(t, form, strsep(&text, ":"), &seen);
	if (ret)
		return ret;
	keeps = low_bits(width * 8 - form->id.shift);
	if (form->id.mask && !(form->id.mask & keeps))
		return rule_refuse(t, "mask %#jx keeps no bit of the ID; expected some of %#jx",
				   (uintmax_t)form->id.mask, (uintmax_t)keeps);
	return 0;
}

/* The loads END at a place and take more bytes than the width: see struct xsr_alternative. */
void form_compile(const struct form *form, struct xsr_alternative *alt)
{
	const struct match *match = &form->match;
	const struct place *id = &form->id;
	unsigned int bits = id->width * 8;

	*alt = (struct xsr_alternative){
		.id_mask = (id->mask ? id->mask : UINT64_MAX) & low_bits(bits - id->shift),
		.match_mask = match->mask,
		.match_value = match->value,
		.match_end = match->width ? match->offset + match->width : 0,
		.id_end = id->flags & XSR_ALT_FROM_END ? id->offset - id->width : id->offset + id->width,
		.id_width = id->width,
		.id_shift = id->shift + (id->flags & XSR_ALT_LITTLE_ENDIAN ? 64 - bits : 0),
		.flags = id->flags,
	};
}
