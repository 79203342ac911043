/* SPDX-License-Identifier: MIT */
/*
 * SMC_AGENT=option=value,...  smc-agent(7) describes the options; the table below is all that there are.
 *
 * The separator is a comma, so in a policy its own options are separated by semicolons: policy=gspec:population=8;mutation=0.02
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"

struct config config = {
	.rescue = RESCUE_READ | RESCUE_ACCEPT | RESCUE_WAIT,
	.signals = (1 << CRASH_SIGNALS) - 1,
	.device = SMC_DEVICE,
	.log = "stderr",
	.retries = 3,
};

const int crash_signals[CRASH_SIGNALS] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };
const char *const crash_signal_names[CRASH_SIGNALS] = { "SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT" };

static const char *const rescue_words[] = { "read", "accept", "wait", NULL };
static const char *const signal_words[] = { "segv", "bus", "fpe", "ill", "abrt", NULL };

static void __attribute__((format(printf, 1, 2), noreturn)) refuse(const char *format, ...)
{
	va_list list;

	fputs("smc-agent: SMC_AGENT: ", stderr);
	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	fputs("; see smc-agent(7). The program is not started\n", stderr);
	_exit(EXIT_AGENT);
}

/* Reads WORD+WORD+..., whose bits are the words' indices. */
static unsigned int words_of(const char *option, char *value, const char *const *words)
{
	unsigned int bits = 0;

	for (char *rest = value, *word; (word = strsep(&rest, "+"));) {
		int i = 0;

		while (words[i] && strcmp(word, words[i]))
			i++;
		if (!words[i]) {
			char all[128] = "";

			for (i = 0; words[i]; i++) {
				strcat(all, i ? ", " : "");
				strcat(all, words[i]);
			}
			refuse("%s: unknown word \"%s\"; there are %s, joined by \"+\"", option, word, all);
		}
		bits |= 1u << i;
	}
	return bits;
}

static unsigned long long number_of(const char *option, const char *value, const char *suffixes)
{
	const char *suffix;
	char *end;
	unsigned long long n = strtoull(value, &end, 10);
	int shift = 0;

	if (*value < '0' || *value > '9')
		refuse("%s=%s: give a whole number", option, value);
	suffix = *end ? strchr(suffixes, *end) : NULL;
	if (suffix) {
		shift = 10 * (suffix - suffixes + 1);
		end++;
	}
	if (*end || n > ~0ULL >> shift)
		refuse("%s=%s: give a whole number%s", option, value, *suffixes ? ", after which K, M or G may follow" : "");
	return n << shift;
}

static bool choice_of(const char *option, const char *value, const char *no, const char *yes)
{
	if (!strcmp(value, yes))
		return true;
	if (strcmp(value, no))
		refuse("%s=%s: give %s or %s", option, value, no, yes);
	return false;
}

static void set_policy(const char *value)
{
	if (strlen(value) >= sizeof(config.policy))
		refuse("policy: the text is longer than %zu bytes", sizeof(config.policy) - 1);
	strcpy(config.policy, value);
	for (char *c = config.policy; *c; c++)
		if (*c == ';')
			*c = ',';
}

static const char *text_of(const char *option, const char *value)
{
	if (!*value)
		refuse("%s: the value is empty", option);
	return value;
}

static void set(const char *option, char *value)
{
	if (!strcmp(option, "rescue"))
		config.rescue = words_of(option, value, rescue_words);
	else if (!strcmp(option, "signals"))
		config.signals = words_of(option, value, signal_words);
	else if (!strcmp(option, "policy"))
		set_policy(value);
	else if (!strcmp(option, "limit"))
		config.limit = number_of(option, value, "KMG");
	else if (!strcmp(option, "device"))
		config.device = text_of(option, value);
	else if (!strcmp(option, "log"))
		config.log = text_of(option, value);
	else if (!strcmp(option, "required"))
		config.required = choice_of(option, value, "no", "yes");
	else if (!strcmp(option, "outside"))
		config.chain_outside = choice_of(option, value, "rollback", "chain");
	else if (!strcmp(option, "max"))
		config.max = number_of(option, value, "");
	else if (!strcmp(option, "retries"))
		config.retries = number_of(option, value, "");
	else
		refuse("unknown option \"%s\"; there are rescue, signals, policy, limit, device, log, required, outside, max, "
		       "retries", option);
}

void config_read(void)
{
	const char *text = getenv("SMC_AGENT");
	char *rest = text ? strdup(text) : NULL;	/* values point into it from now on */

	for (char *option; (option = strsep(&rest, ","));) {
		char *value = strchr(option, '=');

		if (!*option)
			continue;
		if (!value)
			refuse("option \"%s\" has no value", option);
		*value++ = 0;
		set(option, value);
	}
}

int crash_index(int signal)
{
	for (int i = 0; i < CRASH_SIGNALS; i++)
		if (crash_signals[i] == signal)
			return i;
	return -1;
}
