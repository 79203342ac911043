// SPDX-License-Identifier: GPL-2.0
/*
 * Reads the options of policies: options.h says what they look like.
 *
 *   "seed=7,mutation=0.5"
 *    ^ name         ^ value            one pass, with a pointer that only moves forward
 *
 * A mistake is where it begins: at the name of an option that there is not, or is there twice; at
 * a word that there is not; at a number that is out of its limits; and otherwise at the very
 * character that cannot be there.
 */
#include "options.h"

const char *const smc_flags[] = { "false", "true", NULL };

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool word_is(const char *text, size_t length, const char *word)
{
	return strlen(word) == length && memcmp(text, word, length) == 0;
}

/*
 * Reads a number in 1 / SMC_ONE; returns the first character that is no part of it. Numbers from
 * 2^32 on, which are above every limit, count as 2^32: that times SMC_ONE fits in 64 bits.
 */
static const char *read_number(const char *text, bool whole, u64 *number)
{
	u64 digits = 0, unit = SMC_ONE;

	for (; is_digit(*text); text++) {
		digits = 10 * digits + (u64)(*text - '0');
		if (digits > 1ULL << 32)
			digits = 1ULL << 32;
	}
	*number = digits * SMC_ONE;
	if (*text != '.' || whole)
		return text;
	/* Nine digits: then the unit is 1. */
	for (text++; is_digit(*text) && unit > 1; text++) {
		unit /= 10;
		*number += unit * (u64)(*text - '0');
	}
	return text;
}

/* number * scale / SMC_ONE. Neither product needs more than 63 bits. */
static u64 scaled(const struct smc_option *option, u64 number)
{
	u64 whole = number / SMC_ONE * option->scale;
	u64 rest = number % SMC_ONE * option->scale;

	return whole + (option->nearest ? (2 * rest + SMC_ONE) / (2 * SMC_ONE) : rest / SMC_ONE);
}

/* Reads a value that ends with the text or a comma. NULL, or where the mistake is. */
static const char *read_value(const char *text, const struct smc_option *option, u64 *value)
{
	size_t length = strcspn(text, ",");
	const char *end;
	u64 number, word;

	if (option->words) {
		for (word = 0; option->words[word]; word++) {
			if (!word_is(text, length, option->words[word]))
				continue;
			*value = word;
			return NULL;
		}
		return text;
	}
	if (!is_digit(*text))
		return text;
	end = read_number(text, option->scale == 1, &number);
	if (end != text + length || end[-1] == '.')
		return end;
	if (number < option->least || number > option->most)
		return text;
	*value = scaled(option, number);
	return NULL;
}

const char *smc_options_read(const char *text, const struct smc_option *options, u64 *values)
{
	const struct smc_option *option;
	const char *mistake;
	u32 given = 0, bit;
	size_t length;

	for (option = options; option && option->name; option++)
		values[option->offset / sizeof(u64)] = option->initial;
	while (text) {
		length = strcspn(text, "=,");
		option = options;
		while (option && option->name && !word_is(text, length, option->name))
			option++;
		if (!option || !option->name)
			return text;
		bit = 1u << (option - options);
		if (given & bit)
			return text;
		given |= bit;
		text += length;
		if (*text != '=')
			return text;
		text++;
		mistake = read_value(text, option, &values[option->offset / sizeof(u64)]);
		if (mistake)
			return mistake;
		text = strchr(text, ',');
		if (text)
			text++;
	}
	return NULL;
}
