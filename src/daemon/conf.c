#include "daemon/conf.h"

#include <errno.h>
#include <ini.h>

enum kind { KIND_TEXT, KIND_ADDRS, KIND_UINT, KIND_BOOL, KIND_CHOICE };

struct option {
    const char *section, *key;
    size_t offset;
    enum kind kind;
    const char *choices; /* "a|b" */
    const char *fallback;
    uint64_t min, max;
    bool reloadable;
    const char *text;
};

#define TEXT KIND_TEXT, NULL
#define ADDRS KIND_ADDRS, NULL
#define UINT KIND_UINT, NULL
#define BOOL KIND_BOOL, NULL
#define CHOICE(words) KIND_CHOICE, words
#define OPTION(...) OPTION_ROW(__VA_ARGS__)
#define OPTION_ROW(section_, key_, field, type, choices_, fallback_, min_, max_, reload, text_)    \
    {section_, key_, offsetof(struct conf, field), type, choices_, fallback_, min_, max_,          \
     reload,   text_},

static const struct option options[] = {
#include "daemon/options.def"
};

/* ---- values ---- */

static struct view trim(struct view v)
{
    while (v.n > 0 && (v.p[0] == ' ' || v.p[0] == '\t'))
        v = view_sub(v, 1, v.n);
    while (v.n > 0 && (v.p[v.n - 1] == ' ' || v.p[v.n - 1] == '\t'))
        v.n--;
    return v;
}

static const char *set_text(char **field, struct view value)
{
    char *copy = mem_text(value.p, value.n);

    if (!copy)
        return "out of memory";
    mem_free(*field);
    *field = copy;
    return NULL;
}

static const char *set_addrs(struct conf_addrs *field, struct view value)
{
    struct conf_addrs list = {0};
    struct view rest = value, part;

    while (value.n > 0 && view_split(&rest, ',', &part)) {
        if (list.n == CONF_ADDRS_MAX)
            return "too many addresses";
        if (addr_parse(trim(part), &list.v[list.n]) < 0)
            return "not an address with a port, like 192.0.2.1:5683 or [2001:db8::1]:5683";
        list.n++;
    }
    *field = list;
    return NULL;
}

static const char *set_uint(const struct option *o, uint64_t *field, struct view value)
{
    uint64_t n;

    if (view_u64(value, UINT64_MAX, &n) < 0)
        return "not a whole number";
    if (n < o->min || n > o->max)
        return "out of range";
    *field = n;
    return NULL;
}

static const char *set_bool(bool *field, struct view value)
{
    static const struct {
        const char *word;
        bool value;
    } words[] = {{"yes", true},    {"no", false}, {"true", true},
                 {"false", false}, {"on", true},  {"off", false}};

    for (size_t i = 0; i < mem_count(words); i++) {
        if (view_eq_str(value, words[i].word)) {
            *field = words[i].value;
            return NULL;
        }
    }
    return "neither yes nor no";
}

static const char *set_choice(const struct option *o, uint64_t *field, struct view value)
{
    struct view rest = view_str(o->choices), word;

    for (uint64_t i = 0; view_split(&rest, '|', &word); i++) {
        if (view_eq(word, value)) {
            *field = i;
            return NULL;
        }
    }
    return "not one of the choices";
}

/* NULL, or what is wrong with the value. */
static const char *set(struct conf *c, const struct option *o, struct view value)
{
    void *field = (char *)c + o->offset;

    switch (o->kind) {
    case KIND_TEXT:
        return set_text(field, value);
    case KIND_ADDRS:
        return set_addrs(field, value);
    case KIND_UINT:
        return set_uint(o, field, value);
    case KIND_BOOL:
        return set_bool(field, value);
    case KIND_CHOICE:
        return set_choice(o, field, value);
    }
    return "of an unknown kind";
}

/* ---- the file ---- */

struct load {
    struct conf *conf;
    const char *file;
    FILE *in, *errors;
    unsigned line;
    unsigned mistakes;
    bool seen[mem_count(options)];
};

static void __attribute__((format(printf, 2, 3))) mistake(struct load *l, const char *fmt, ...)
{
    va_list ap;

    l->mistakes++;
    fprintf(l->errors, "%s:%u: ", l->file, l->line);
    va_start(ap, fmt);
    vfprintf(l->errors, fmt, ap);
    va_end(ap);
    fputc('\n', l->errors);
}

/* inih hands no line numbers to its handler, so they are counted where it reads. */
static char *read_line(char *out, int cap, void *ctx)
{
    struct load *l = ctx;
    char *got = fgets(out, cap, l->in);
    size_t n = got ? strlen(got) : 0;
    int c;

    if (!got)
        return NULL;
    l->line++;
    if (n + 1 == (size_t)cap && got[n - 1] != '\n') {
        mistake(l, "the line is longer than %d characters", cap - 2);
        do
            c = fgetc(l->in);
        while (c != '\n' && c != EOF);
        out[0] = '\0';
    }
    return out;
}

static int on_key(void *ctx, const char *section, const char *key, const char *value)
{
    struct load *l = ctx;

    for (size_t i = 0; i < mem_count(options); i++) {
        const struct option *o = &options[i];
        const char *wrong;

        if (strcmp(o->section, section) != 0 || strcmp(o->key, key) != 0)
            continue;
        if (l->seen[i])
            mistake(l, "[%s] %s is given twice", section, key);
        l->seen[i] = true;
        wrong = set(l->conf, o, view_str(value));
        if (wrong && o->kind == KIND_UINT)
            mistake(l, "[%s] %s = %s: %s (%llu to %llu)", section, key, value, wrong,
                    (unsigned long long)o->min, (unsigned long long)o->max);
        else if (wrong && o->kind == KIND_CHOICE)
            mistake(l, "[%s] %s = %s: %s (%s)", section, key, value, wrong, o->choices);
        else if (wrong)
            mistake(l, "[%s] %s = %s: %s", section, key, value, wrong);
        return 1;
    }
    mistake(l, "[%s] %s is not an option", section, key);
    return 1;
}

static bool power_of_two(uint64_t n)
{
    return n != 0 && (n & (n - 1)) == 0;
}

/* What one option alone cannot tell. */
static void check_together(struct load *l)
{
    const struct conf *c = l->conf;

    if (!power_of_two(c->coap_block_size))
        mistake(l, "[coap] block-size must be a power of two");
    for (size_t i = 0; i < c->api_listen.n; i++) {
        if (!addr_is_loopback(&c->api_listen.v[i]) && c->api_token_file[0] == '\0')
            mistake(l, "[api] listen leaves loopback, so [api] token-file is needed");
    }
}

int conf_load(const char *file, FILE *errors, struct conf *ret_conf)
{
    struct conf c = {0};
    struct load l = {.conf = &c, .file = file, .errors = errors};
    int syntax;

    for (size_t i = 0; i < mem_count(options); i++) {
        if (set(&c, &options[i], view_str(options[i].fallback))) {
            conf_fini(&c);
            return ERR_NOMEM;
        }
    }
    l.in = fopen(file, "re");
    if (!l.in) {
        int rc = errno == ENOENT ? ERR_NOTFOUND : ERR_IO;

        fprintf(errors, "%s: %s\n", file, strerror(errno));
        conf_fini(&c);
        return rc;
    }
    syntax = ini_parse_stream(read_line, &l, on_key, &l);
    fclose(l.in);
    if (syntax > 0) {
        l.line = (unsigned)syntax;
        mistake(&l, "neither a [section] nor key = value");
    }
    check_together(&l);
    if (l.mistakes > 0) {
        conf_fini(&c);
        return ERR_INVALID;
    }
    *ret_conf = c;
    return ERR_OK;
}

void conf_fini(struct conf *c)
{
    for (size_t i = 0; i < mem_count(options); i++) {
        if (options[i].kind == KIND_TEXT)
            mem_free(*(char **)(void *)((char *)c + options[i].offset));
    }
    *c = (struct conf){0};
}

/* ---- what is written from the table ---- */

static void put_wrapped(FILE *out, const char *text, const char *prefix, size_t width)
{
    struct view rest = view_str(text), word;
    size_t column = 0;

    while (view_split(&rest, ' ', &word)) {
        if (column > 0 && column + 1 + word.n > width) {
            fputc('\n', out);
            column = 0;
        }
        column += (size_t)fprintf(out, "%s" VIEW_FMT, column == 0 ? prefix : " ", VIEW_ARG(word));
    }
    fputc('\n', out);
}

static void put_range(FILE *out, const struct option *o)
{
    if (o->kind == KIND_CHOICE)
        fprintf(out, "One of %s.", o->choices);
    else if (o->kind == KIND_UINT)
        fprintf(out, "%llu to %llu.", (unsigned long long)o->min, (unsigned long long)o->max);
    else if (o->kind == KIND_BOOL)
        fprintf(out, "yes or no.");
}

static const char *override_of(const struct option *o, const struct conf_override *overrides,
                               size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(overrides[i].section, o->section) == 0 && strcmp(overrides[i].key, o->key) == 0)
            return overrides[i].value;
    }
    return NULL;
}

void conf_sample(FILE *out, const struct conf_override *overrides, size_t count)
{
    const char *section = "";

    fprintf(
        out,
        "# Configuration of lwm2m-serverd; see lwm2m-serverd.conf(5).\n"
        "# What is commented out shows the default. Check with: lwm2m-serverd -T --config FILE\n");
    for (size_t i = 0; i < mem_count(options); i++) {
        const struct option *o = &options[i];
        const char *value = override_of(o, overrides, count);

        if (strcmp(section, o->section) != 0)
            fprintf(out, "\n[%s]\n", o->section);
        section = o->section;
        fputc('\n', out);
        put_wrapped(out, o->text, "# ", 96);
        if (o->kind == KIND_CHOICE || o->kind == KIND_UINT) {
            fputs("# ", out);
            put_range(out, o);
            fputc('\n', out);
        }
        fprintf(out, "%s%s = %s\n", value ? "" : "# ", o->key, value ? value : o->fallback);
    }
}

/* A leading hyphen-minus and quotes are what man source must not misread. */
static void put_man_text(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '-')
            fputs("\\-", out);
        else if (*text == '\\')
            fputs("\\e", out);
        else
            fputc(*text, out);
    }
}

static const char man_head[] =
    ".TH LWM2M\\-SERVERD.CONF 5 \"\" \"lwm2m\\-serverd\" \"File Formats\"\n"
    ".SH NAME\nlwm2m\\-serverd.conf \\- configuration of the LwM2M server\n"
    ".SH SYNOPSIS\n.I /etc/lwm2m\\-serverd/lwm2m\\-serverd.conf\n"
    ".SH DESCRIPTION\n"
    "Sections in brackets, below each the options as\n.IR \"key = value\" ,\n"
    "one on a line; comments begin with # or ;.\n"
    "An option that is missing has its default.\n"
    "The server refuses a file with mistakes and names every one with its line;\n"
    ".B lwm2m\\-serverd \\-T\nchecks a file without starting.\n"
    "SIGHUP (or\n.BR \"systemctl reload\" )\n"
    "reads the file again: options marked so take effect, the others are named in the log.\n"
    ".SH OPTIONS\n";

static const char man_tail[] =
    ".SH SEE ALSO\n.BR lwm2m\\-serverd (8),\n.BR lwm2m\\-serverctl (1),\n"
    ".BR lwm2m\\-server\\-api (7)\n";

static void put_man_option(FILE *out, const struct option *o)
{
    fputs(".TP\n.B ", out);
    put_man_text(out, o->key);
    fputc('\n', out);
    put_man_text(out, o->text);
    fputc('\n', out);
    put_range(out, o);
    if (o->kind == KIND_CHOICE || o->kind == KIND_UINT || o->kind == KIND_BOOL)
        fputc('\n', out);
    if (o->fallback[0] != '\0') {
        fputs("Default: ", out);
        put_man_text(out, o->fallback);
        fputs(".\n", out);
    }
    if (o->reloadable)
        fputs("Takes effect at a reload.\n", out);
}

void conf_man(FILE *out)
{
    const char *section = "";

    fputs(man_head, out);
    for (size_t i = 0; i < mem_count(options); i++) {
        const struct option *o = &options[i];

        if (strcmp(section, o->section) != 0)
            fprintf(out, ".SS [%s]\n", o->section);
        section = o->section;
        put_man_option(out, o);
    }
    fputs(man_tail, out);
}

/* ---- reload ---- */

static bool same(const struct option *o, const void *a, const void *b)
{
    switch (o->kind) {
    case KIND_TEXT:
        return strcmp(*(char *const *)a, *(char *const *)b) == 0;
    case KIND_ADDRS:
        return memcmp(a, b, sizeof(struct conf_addrs)) == 0;
    case KIND_UINT:
    case KIND_CHOICE:
        return *(const uint64_t *)a == *(const uint64_t *)b;
    case KIND_BOOL:
        return *(const bool *)a == *(const bool *)b;
    }
    return true;
}

void conf_reload(struct conf *c, const struct conf *next)
{
    for (size_t i = 0; i < mem_count(options); i++) {
        const struct option *o = &options[i];
        void *mine = (char *)c + o->offset;
        const void *theirs = (const char *)next + o->offset;

        if (same(o, mine, theirs))
            continue;
        if (!o->reloadable)
            log_warn("a changed option needs a restart", log_text("section", o->section),
                     log_text("key", o->key));
        else
            memcpy(mine, theirs, sizeof(uint64_t)); /* only choices are reloadable so far */
    }
}
