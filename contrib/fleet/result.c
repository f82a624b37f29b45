#include "fleet.h"

#include <stdio.h>
#include <sys/resource.h>

#define US 1000.0 /* ns */

double result_cpu_s(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)u.ru_utime.tv_sec + (double)u.ru_stime.tv_sec +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

void result_latency(const struct hist *h)
{
    printf(",\"p50_us\":%.1f,\"p90_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.1f",
           (double)hist_quantile(h, 0.5) / US, (double)hist_quantile(h, 0.9) / US,
           (double)hist_quantile(h, 0.99) / US, (double)hist_quantile(h, 0.999) / US,
           (double)h->max / US);
}

void result_print(const struct options *o, const struct result *r, const struct client_stats *s)
{
    printf("{\"mode\":\"%s\",\"devices\":%llu,\"window\":%llu,\"offered\":%llu,\"elapsed_s\":%.3f",
           o->mode_name, (unsigned long long)o->devices, (unsigned long long)o->window,
           (unsigned long long)o->rate, r->elapsed_s);
    printf(",\"rate\":%.0f,\"sent\":%llu,\"ok\":%llu,\"refused\":%llu,\"reset\":%llu,\"lost\":%llu",
           r->elapsed_s > 0 ? (double)r->completed / r->elapsed_s : 0.0,
           (unsigned long long)s->sent, (unsigned long long)s->outcomes[CLIENT_OK],
           (unsigned long long)s->outcomes[CLIENT_REFUSED],
           (unsigned long long)s->outcomes[CLIENT_RESET],
           (unsigned long long)s->outcomes[CLIENT_LOST]);
    printf(",\"retransmitted\":%llu,\"unmatched\":%llu,\"told\":%llu,\"registered\":%zu",
           (unsigned long long)s->retransmitted, (unsigned long long)s->unmatched,
           (unsigned long long)s->told, r->registered);
    printf(",\"cpu_s\":%.3f", result_cpu_s());
    result_latency(&s->latency);
    printf("}\n");
    fflush(stdout);
}
