#include "lwm2m/run.h"

/*
 * Operations on several paths at once (LwM2M Core 6.3.8, 6.3.9, 6.4.3). A device that does not know
 * FETCH and iPATCH gets single operations, one after the other: what it answers becomes one answer.
 * A Read leaves out what cannot be read; a Write in parts stops at the first that fails, and says
 * so, for then it is not all or nothing any more.
 */

/* Kept among the refused formats of the class. */
#define LACKED 0x80

/* A composite that is made of parts. */
struct composite {
    struct op *part;        /* under way, owned */
    size_t next;            /* index in the records of the operation */
    struct batch *gathered; /* what the parts have answered, owned */
    unsigned done, failed;  /* parts */
    struct op_failure {
        uint8_t code;
        int rc;
    } last; /* failure */
};

static enum choose_class class_of(const struct op *op)
{
    return op->kind == OP_WRITE_COMPOSITE ? CHOOSE_PATCH : CHOOSE_FETCH;
}

bool composite_is(const struct op *op)
{
    return op->kind == OP_READ_COMPOSITE || op->kind == OP_WRITE_COMPOSITE ||
           op->kind == OP_OBSERVE_COMPOSITE;
}

struct op *composite_subject(const struct run *run)
{
    return run->step == RUN_PART ? run->parts->part : run->op;
}

void composite_free(struct composite *c)
{
    if (c == NULL)
        return;
    op_free(c->part);
    batch_free(c->gathered);
    mem_free(c);
}

static bool is_lacked(const struct run *run)
{
    const struct device *dev = run->device;

    return dev->version.minor == 0 || (dev->failed[class_of(run->op)] & LACKED) != 0;
}

/* The format of an operation is that of the answer; for a Write it is that of the body. */
void composite_formats(struct run *run)
{
    run->class = class_of(run->op);
    run->candidates[0] = run->op->format;
    run->candidate_count = 1;
    if (run->op->kind != OP_WRITE_COMPOSITE || run->op->format == FORMAT_NONE)
        run->candidate_count = (uint8_t)select_format_candidates(run->device, run->class,
                                                                 VALUE_NONE, true, run->candidates);
}

/* ---- requests -------------------------------------------------------------------------------- */

/* Several clients read the body by what they were asked to answer with. */
int32_t composite_accept(const struct run *run)
{
    int32_t body = run->candidates[run->candidate];
    int32_t choices[CHOOSE_MAX];

    if (run->op->format != FORMAT_NONE)
        return run->op->format;
    if (body == FORMAT_SENML_JSON || body == FORMAT_SENML_CBOR)
        return body;
    select_format_candidates(run->device, CHOOSE_COMPOSITE, VALUE_NONE, false, choices);
    return choices[0];
}

int composite_names(struct domain *d, const struct device *dev, const struct batch *names,
                    int32_t format, struct buf *out, uint64_t now)
{
    static const struct path root = {.depth = 0};
    struct content_env env;

    domain_env(d, dev, now, &env);
    env.use = CONTENT_FETCH;
    return content_encode(format, &env, names, &root, out);
}

static int encode(struct run *run, enum content_use use, struct outgoing *out, struct buf *body,
                  uint64_t now)
{
    static const struct path root = {.depth = 0};
    struct content_env env;
    int rc = ERR_FORMAT;

    domain_env(run->domain, run->device, now, &env);
    env.use = use;
    for (; rc != ERR_OK && run->candidate < run->candidate_count; run->candidate++) {
        out->format = run->candidates[run->candidate];
        rc = content_encode(out->format, &env, run->op->values, &root, body);
        if (rc == ERR_OK)
            break;
    }
    out->body = buf_view(body);
    out->path = VIEW_LIT("/"); /* the root, whatever the alternate path is */
    return rc;
}

int composite_fetch(struct run *run, struct outgoing *out, struct buf *body, uint64_t now)
{
    int rc = encode(run, CONTENT_FETCH, out, body, now);

    if (rc == ERR_OK)
        out->accept = composite_accept(run);
    return rc;
}

int composite_observe(struct run *run, struct outgoing *out, struct buf *body, uint64_t now)
{
    out->observe = 0;
    if (!run->attached)
        out->query = view_str(run->op->text);
    return composite_fetch(run, out, body, now);
}

int composite_patch(struct run *run, struct outgoing *out, struct buf *body, uint64_t now)
{
    return encode(run, CONTENT_PATCH, out, body, now);
}

/* ---- parts ----------------------------------------------------------------------------------- */

static int add_record(struct op *part, const struct record *r)
{
    if (part->values == NULL)
        part->values = batch_new();
    return part->values != NULL ? batch_add(part->values, r) : ERR_NOMEM;
}

/* Every value of the instance from number `from` on, as one partial Write. */
static int write_instance(const struct batch *values, size_t from, struct op *part,
                          size_t *ret_next)
{
    struct path instance = batch_at(values, from)->path;
    size_t i = from;
    int rc = ERR_OK;

    instance.depth = 2;
    part->kind = OP_WRITE_UPDATE;
    part->path = instance;
    for (; rc == ERR_OK && i < batch_size(values); i++) {
        const struct record *r = batch_at(values, i);

        if (r->value.type == VALUE_NONE || !path_covers(&instance, &r->path))
            break;
        rc = add_record(part, r);
    }
    *ret_next = i;
    return rc;
}

static int fill_part(struct run *run, struct op *part)
{
    struct composite *c = run->parts;
    const struct record *r = batch_at(run->op->values, c->next);

    part->path = r->path;
    if (run->op->kind == OP_WRITE_COMPOSITE && r->value.type != VALUE_NONE)
        return write_instance(run->op->values, c->next, part, &c->next);
    c->next++;
    part->kind = OP_READ;
    if (run->op->kind == OP_WRITE_COMPOSITE) {
        part->kind = OP_DELETE;
    } else if (run->op->kind == OP_OBSERVE_COMPOSITE) {
        part->kind = OP_WRITE_ATTRIBUTES;
        part->text = mem_text(run->op->text, strlen(run->op->text));
        return part->text != NULL ? ERR_OK : ERR_NOMEM;
    }
    return ERR_OK;
}

/* The next part becomes the subject; ERR_NOTFOUND when there is none. */
static int next_part(struct run *run)
{
    struct composite *c = run->parts;
    struct op *part;
    int rc;

    op_free(c->part);
    c->part = NULL;
    if (c->next >= batch_size(run->op->values))
        return ERR_NOTFOUND;
    part = op_new(OP_READ, view_str(run->op->endpoint));
    if (part == NULL)
        return ERR_NOMEM;
    rc = fill_part(run, part);
    if (rc < 0) {
        op_free(part);
        return rc;
    }
    c->part = part;
    run->candidate = 0;
    run->candidate_count = 0;
    run->refused = 0;
    return ERR_OK;
}

static int start_parts(struct run *run)
{
    composite_free(run->parts);
    run->parts = mem_new(sizeof(*run->parts));
    if (run->parts == NULL)
        return ERR_NOMEM;
    run->parts->gathered = batch_new();
    if (run->parts->gathered == NULL)
        return ERR_NOMEM;
    run->step = RUN_PART;
    return next_part(run);
}

int composite_prepare(struct run *run)
{
    if (!composite_is(run->op) || run->step != RUN_ITSELF || !is_lacked(run))
        return ERR_OK;
    /* N observations would not be one: whoever wants them asks for each. */
    return run->op->kind == OP_OBSERVE_COMPOSITE ? ERR_UNSUPPORTED : start_parts(run);
}

bool composite_splits(struct run *run)
{
    return run->op->kind == OP_WRITE_COMPOSITE && run->step == RUN_ITSELF &&
           start_parts(run) == ERR_OK;
}

static bool says_lacking(uint8_t code)
{
    static const int reasons[] = {ERR_METHOD, ERR_UNSUPPORTED, ERR_BADOPTION, ERR_FORMAT,
                                  ERR_NOTACCEPTABLE};

    for (size_t i = 0; i < mem_count(reasons); i++)
        if (code == err_coap_code(reasons[i]))
            return true;
    return false;
}

/* The query of an Observe-Composite is what some clients reject: each path gets the attributes. */
static bool turns_to_attributes(struct run *run, uint8_t code)
{
    const char *text = run->op->text;

    return run->op->kind == OP_OBSERVE_COMPOSITE && !run->attached && text != NULL &&
           text[0] != '\0' &&
           (code == err_coap_code(ERR_BADOPTION) || code == err_coap_code(ERR_INVALID));
}

static void gather(struct run *run, const struct answer *a, uint64_t now)
{
    struct composite *c = run->parts;
    int rc = result_read(run->domain, run->device, c->part, a, now);
    const struct batch *values = c->part->result.values;

    run->op->result.coap_code = a->code;
    run->op->result.answered_ms = c->part->result.answered_ms;
    for (size_t i = 0; rc == ERR_OK && values != NULL && i < batch_size(values); i++)
        rc = batch_add(c->gathered, batch_at(values, i));
    if (rc == ERR_OK) {
        c->done++;
        result_learn(run->domain, run->device, c->part, now);
        return;
    }
    c->failed++;
    c->last.rc = rc;
    c->last.code = a->code;
}

bool composite_goes_on(struct run *run, const struct answer *a, uint64_t now)
{
    struct composite *c = run->parts;
    bool lacking;

    if (!composite_is(run->op))
        return false;
    if (run->step == RUN_PART) {
        gather(run, a, now);
        if (c->failed > 0 && run->op->kind != OP_READ_COMPOSITE)
            return false;
        if (next_part(run) == ERR_OK)
            return true;
        if (run->op->kind != OP_OBSERVE_COMPOSITE || c->failed > 0)
            return false;
        run->step = RUN_ITSELF; /* all paths have their attributes: now without a query */
        run->attached = true;
        run->candidate_count = 0;
        run->candidate = 0;
        return true;
    }
    if (turns_to_attributes(run, a->code))
        return start_parts(run) == ERR_OK;
    lacking = run->step == RUN_ITSELF && says_lacking(a->code);
    if (!lacking)
        return false;
    run->device->failed[class_of(run->op)] |= LACKED;
    return run->op->kind != OP_OBSERVE_COMPOSITE && start_parts(run) == ERR_OK;
}

static void tell_partial(struct op *op, const struct composite *c)
{
    struct buf text;
    const char *said;

    buf_init(&text, 128);
    buf_fmt(&text, "the device has no composites; %u single operations were done, then one failed",
            c->done);
    said = buf_cstr(&text);
    mem_free(op->result.text);
    op->result.text = said != NULL ? mem_text(said, strlen(said)) : NULL;
    buf_fini(&text);
}

int composite_result(struct run *run)
{
    struct composite *c = run->parts;
    struct op *op = run->op;

    if (c->done == 0 || (c->failed > 0 && op->kind != OP_READ_COMPOSITE)) {
        op->result.coap_code = c->last.code;
        if (c->done > 0)
            tell_partial(op, c);
        return c->last.rc < 0 ? c->last.rc : ERR_DEVICE;
    }
    if (op->kind == OP_READ_COMPOSITE) {
        op->result.values = c->gathered;
        c->gathered = NULL;
    }
    op->result.coap_code = op->kind == OP_READ_COMPOSITE ? PDU_CONTENT : PDU_CHANGED;
    return ERR_OK;
}
