// SPDX-License-Identifier: GPL-2.0
/* Reads traces of written pages: trace.h. */
#include <stdlib.h>

#include "trace.h"

/* What is left of the file, or of its epochs. */
struct bytes {
	const unsigned char *at;
	u64 left;
};

static const unsigned char *take(struct bytes *from, u64 count)
{
	const unsigned char *at = from->at;

	if (count > from->left)
		die("the trace is cut off");
	from->at += count;
	from->left -= count;
	return at;
}

/*
 * Begins a MessagePack value of the kinds that a trace has. Returns its length or, of a number,
 * its value.
 */
static u64 begin(struct bytes *from, char *kind)
{
	/* Types from 0xc4 on, and how many bytes their length or value has. */
	static const char kinds[] = "bbb?????nnnn?????????sssaamm";
	static const char sizes[] = "1240000012480000000001242424";
	unsigned char type = *take(from, 1);
	u64 value = 0;
	int left;

	if (type < 0xc0) {
		*kind = type < 0x80 ? 'n' : type < 0x90 ? 'm' : type < 0xa0 ? 'a' : 's';
		return type < 0x80 ? type : type & (type < 0xa0 ? 15 : 31);
	}
	if (type < 0xc4 || type > 0xdf)
		die("the trace has a value of type %#x", type);
	*kind = kinds[type - 0xc4];
	for (left = sizes[type - 0xc4] - '0'; left > 0; left--)
		value = value << 8 | *take(from, 1);
	return value;
}

static u64 expect(struct bytes *from, char expected)
{
	char kind;
	u64 value = begin(from, &kind);

	if (kind != expected)
		die("the trace has '%c' where '%c' should be", kind, expected);
	return value;
}

static u32 leb128(struct bytes *from)
{
	u64 value = 0;
	unsigned char byte;
	int shift = 0;

	do {
		byte = *take(from, 1);
		value |= (u64)(byte & 0x7f) << shift;
		shift += 7;
	} while (byte >= 0x80 && shift < 35);
	if (byte >= 0x80 || value > UINT_MAX)
		die("a number of the trace is too large");
	return value;
}

/* The pages that runs name and those of a set: what is in one of them alone. */
static void read_set(struct bytes *from, u32 runs, const struct numbers *set, struct numbers *into)
{
	u64 at, end = 0;
	size_t next = 0;

	while (runs-- > 0) {
		u32 run = leb128(from);

		at = end + run / 2;
		end = at + (run & 1 ? (u64)leb128(from) + 2 : 1);
		if (end > 1u << 24)
			die("the trace has pages beyond 64 GiB");
		for (; at < end; at++) {
			while (set && next < set->count && set->at[next] < at)
				numbers_add(into, set->at[next++]);
			if (set && next < set->count && set->at[next] == at)
				next++;
			else
				numbers_add(into, at);
		}
	}
	while (set && next < set->count)
		numbers_add(into, set->at[next++]);
}

static void read_epoch(struct bytes *from, struct trace *trace)
{
	struct trace_epoch *epoch = &trace->epochs[trace->count];
	const struct trace_epoch *last = trace->count ? epoch - 1 : NULL;
	const struct numbers *set = NULL;
	u32 bits = leb128(from);
	size_t i;

	memset(epoch, 0, sizeof(*epoch));
	epoch->kind = bits & 4 ? leb128(from) : last ? last->kind : 0;
	epoch->pages = bits & 8 ? leb128(from) : last ? last->pages : 0;
	if ((bits & 3) == 1 && last)
		set = &last->written;
	for (i = trace->count; (bits & 3) == 2 && !set && i-- > 0;)
		if (trace->epochs[i].kind == epoch->kind)
			set = &trace->epochs[i].written;
	read_set(from, bits / 16, set, &epoch->written);
	if (epoch->written.count && epoch->written.at[epoch->written.count - 1] >= epoch->pages)
		die("an epoch writes beyond its memory");
	trace->count++;
}

static struct bytes read_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	unsigned char *all = NULL;
	size_t size = 0, more;

	if (!file)
		die("cannot read %s", path);
	do {
		all = need(all, size + 65536);
		more = fread(all + size, 1, 65536, file);
		size += more;
	} while (more > 0);
	fclose(file);
	return (struct bytes){ all, size };
}

void trace_read(struct trace *trace, const char *path)
{
	struct bytes whole = read_file(path), file = whole, data = { NULL, 0 };
	u64 keys = expect(&file, 'm'), size, count = 0;

	while (keys-- > 0) {
		u64 length = expect(&file, 's');
		const unsigned char *key = take(&file, length);
		char kind;

		size = begin(&file, &kind);
		if (length == 6 && memcmp(key, "epochs", 6) == 0)
			count = size;
		if (kind == 'a')
			while (size-- > 0)
				take(&file, expect(&file, 's'));
		else if (kind == 'b')
			data = (struct bytes){ take(&file, size), size };
		else if (kind == 's')
			take(&file, size);
	}
	if (count > data.left || file.left)
		die("%s is no trace", path);
	trace_free(trace);
	trace->epochs = need(NULL, count * sizeof(*trace->epochs));
	while (trace->count < count)
		read_epoch(&data, trace);
	if (data.left)
		die("something follows the epochs");
	free((void *)whole.at);
}

void trace_free(struct trace *trace)
{
	while (trace->count > 0)
		free(trace->epochs[--trace->count].written.at);
	free(trace->epochs);
	trace->epochs = NULL;
}
