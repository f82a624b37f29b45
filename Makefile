# The whole build in one file; configure writes $(B)/config.mk and $(B)/config.h.
#
#   make                  build into build/        make run     a server in the foreground
#   make check            everything a change must pass
#   make B=build/asan CONFIGURE_FLAGS=--with-sanitizer=address,undefined CC=clang
#                         a second build beside the first
#
# New files in the folders below are picked up without an edit here.

B ?= build
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
CONFIGURE_FLAGS ?=
SEEDS ?= 50
FUZZ_SECONDS ?= 60
RUN_ARGS ?=
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:

PACKAGE := lwm2m-serverd
FOLDERS := base model codec coap net lwm2m store shard api go
TOP := $(CURDIR)
BABS := $(abspath $(B))

# Goals that drive other makes, or that need no configured build directory.
DRIVERS := run check ci fuzz deps clean distclean dist distcheck help
CONFIGURED := $(filter-out $(DRIVERS),$(or $(MAKECMDGOALS),all))
# One sub-make with all processors, unless the caller has chosen.
SUBMAKE = $(MAKE) --no-print-directory $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(JOBS))

# ---- configure ----------------------------------------------------------------------------

VERSION_NOW := $(shell sed -n 's/^\#\# *\([0-9][0-9.]*\).*/\1/p' CHANGES.md | sed 1q)
# configure carries the version of CHANGES.md: made again only when the version has changed.
STALE_VERSION := $(shell grep -qsF "PACKAGE_VERSION='$(VERSION_NOW)'" configure || echo FORCE)
# A build directory configured with other flags than asked for now is configured again.
FLAGS_FILE := $(B)/configure.flags
FLAGS_NOW = $(CONFIGURE_FLAGS)$(if $(filter command% environment%,$(origin CC)), CC=$(CC))
ifneq ($(strip $(FLAGS_NOW)),)
STALE_FLAGS := $(shell echo '$(FLAGS_NOW)' | cmp -s - $(FLAGS_FILE) || echo FORCE)
endif

.PHONY: FORCE
FORCE:

# Locked, because two makes in one checkout may both find it missing.
configure: configure.ac config.mk.in $(STALE_VERSION)
	@flock configure.ac sh -ec ' \
	    if [ ! -e configure ] || [ configure -ot configure.ac ] || \
	       ! grep -qF "PACKAGE_VERSION='\''$(VERSION_NOW)'\''" configure; then \
	        command -v autoconf >/dev/null || { \
	            echo "autoconf is missing: run contrib/deps.sh" >&2; exit 1; }; \
	        echo "autoconf"; autoheader -f; autoconf -f; \
	    fi'

$(B)/config.mk: configure config.mk.in $(STALE_FLAGS)
	@mkdir -p $(B)
	@if [ -x $(B)/config.status ] && [ -z '$(strip $(FLAGS_NOW))' ]; then \
	    cd $(B) && ./config.status -q --recheck >config.out && ./config.status -q; \
	else \
	    echo "configure $(FLAGS_NOW)" && cd $(B) && \
	    $(TOP)/configure -q $(FLAGS_NOW) && echo '$(FLAGS_NOW)' >configure.flags; \
	fi
	@touch $@

ifneq ($(CONFIGURED),)
include $(B)/config.mk
endif

# ---- flags --------------------------------------------------------------------------------

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes \
	-Wmissing-prototypes -Wvla -Wcast-qual -Wpointer-arith -Wundef -Wformat=2 \
	-Wimplicit-fallthrough -Wswitch-enum
ALL_CPPFLAGS = -D_GNU_SOURCE $(FORTIFY) -Isrc -I$(B) $(LIB_CFLAGS) $(CPPFLAGS)
ALL_CFLAGS = -std=gnu11 $(WARNINGS) $(WERROR) -fstack-protector-strong -fPIE $(SAN_FLAGS) \
	$(CFLAGS)
ALL_LDFLAGS = -pie -Wl,-z,relro,-z,now -Wl,--as-needed $(SAN_FLAGS) $(CFLAGS) $(LDFLAGS)
COMPILE = $(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS)

# Objects are made again when the command that compiles them has changed.
$(B)/compile.flags: $(B)/config.mk FORCE
	@echo '$(COMPILE)' | cmp -s - $@ || echo '$(COMPILE)' >$@

# ---- archive and programs -----------------------------------------------------------------

OBJ := $(B)/obj
LIB := $(B)/liblwm2m-server.a
objects = $(patsubst %.c,$(OBJ)/%.o,$(wildcard $(addsuffix /*.c,$(1))))

LIB_SRC := $(wildcard $(FOLDERS:%=src/%/*.c))
# Data files become part of the archive as soon as their header declares them.
SQL := $(sort $(wildcard sql/[0-9]*.sql))
GEN := $(if $(and $(SQL),$(wildcard src/store/schema.h)),schema) \
	$(if $(and $(wildcard etc/objects.tsv),$(wildcard src/model/objects_data.h)),objects_data) \
	$(if $(and $(wildcard src/api/openapi.json),$(wildcard src/api/openapi_data.h)),openapi_data)
LIB_OBJ := $(call objects,$(FOLDERS:%=src/%)) $(patsubst %,$(B)/gen/%.o,$(strip $(GEN)))
DAEMON_OBJ := $(call objects,src/daemon)
CTL_OBJ := $(call objects,src/ctl)
FLEET_OBJ := $(call objects,contrib/fleet)

DAEMON := $(B)/lwm2m-serverd
CTL := $(B)/lwm2m-serverctl
FLEET := $(B)/fleet
# A program whose folder is empty is left out.
PROGRAMS := $(if $(DAEMON_OBJ),$(DAEMON)) $(if $(CTL_OBJ),$(CTL)) $(if $(FLEET_OBJ),$(FLEET))

.PHONY: all
all: $(LIB) $(PROGRAMS)

$(LIB): $(LIB_OBJ)
	@echo "AR $@"
	@rm -f $@
	@$(AR) rcsD $@ $(LIB_OBJ)

# --as-needed keeps of LIB_LIBS what a program uses.
LINK = @echo "LINK $@"; $(CC) $(ALL_LDFLAGS)
$(DAEMON): $(DAEMON_OBJ) $(LIB)
	$(LINK) -o $@ $(DAEMON_OBJ) $(LIB) $(LIB_LIBS) -lpthread
$(CTL): $(CTL_OBJ) $(LIB)
	$(LINK) -o $@ $(CTL_OBJ) $(LIB) $(LIB_LIBS) -lpthread
$(FLEET): $(FLEET_OBJ) $(LIB)
	$(LINK) -o $@ $(FLEET_OBJ) $(LIB) $(LIB_LIBS) -lpthread -lm

$(OBJ)/%.o: %.c $(B)/compile.flags
	@mkdir -p $(@D)
	@echo "CC $<"
	@$(COMPILE) -MMD -MP -c -o $@ $<

$(B)/gen/%.o: $(B)/gen/%.c $(B)/compile.flags
	@echo "CC $<"
	@$(COMPILE) -MMD -MP -c -o $@ $<

EMBED = @mkdir -p $(@D); echo "GEN $@"; contrib/embed.sh
$(B)/gen/schema.c: $(SQL) contrib/embed.sh
	$(EMBED) sql store/schema.h schema_steps $(SQL) >$@
$(B)/gen/objects_data.c: etc/objects.tsv contrib/embed.sh
	$(EMBED) text model/objects_data.h objects_data $< >$@
$(B)/gen/openapi_data.c: src/api/openapi.json contrib/embed.sh
	$(EMBED) text api/openapi_data.h openapi_data $< >$@

# ---- test programs ------------------------------------------------------------------------

T := $(B)/tests
UNIT := $(patsubst tests/unit/%.c,$(T)/unit/%,$(wildcard tests/unit/test_*.c))
SIM := $(patsubst tests/sim/%.c,$(T)/sim/%,$(wildcard tests/sim/sim_*.c))
FUZZ := $(patsubst tests/fuzz/%.c,$(T)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
BENCH := $(patsubst tests/bench/%.c,$(T)/bench/%,$(wildcard tests/bench/bench_*.c))
# What the simulations share: every other .c of the folder.
SIM_COMMON := $(patsubst %.c,$(OBJ)/%.o,$(filter-out tests/sim/sim_%,$(wildcard tests/sim/*.c)))
UNIT_COMMON := $(patsubst %.c,$(OBJ)/%.o,$(filter-out tests/unit/test_%,$(wildcard tests/unit/*.c)))
# With libFuzzer the library brings main(); otherwise ours replays the corpus.
FUZZ_MAIN = $(if $(FUZZ_LDFLAGS),,$(OBJ)/tests/fuzz/replay_main.o)

.PHONY: tests
tests: all $(UNIT) $(SIM) $(FUZZ) $(BENCH)

$(UNIT): $(T)/unit/%: $(OBJ)/tests/unit/%.o $(UNIT_COMMON) $(LIB)
	@mkdir -p $(@D)
	$(LINK) -o $@ $< $(UNIT_COMMON) $(LIB) $(CMOCKA_LIBS) $(LIB_LIBS) -lpthread -lm
$(SIM): $(T)/sim/%: $(OBJ)/tests/sim/%.o $(SIM_COMMON) $(LIB)
	@mkdir -p $(@D)
	$(LINK) -o $@ $< $(SIM_COMMON) $(LIB) $(LIB_LIBS) -lpthread -lm
$(BENCH): $(T)/bench/%: $(OBJ)/tests/bench/%.o $(LIB)
	@mkdir -p $(@D)
	$(LINK) -o $@ $< $(LIB) $(LIB_LIBS) -lpthread -lm
.SECONDEXPANSION:
$(FUZZ): $(T)/fuzz/%: $(OBJ)/tests/fuzz/%.o $$(FUZZ_MAIN) $(LIB)
	@mkdir -p $(@D)
	$(LINK) $(FUZZ_LDFLAGS) -o $@ $< $(FUZZ_MAIN) $(LIB) $(LIB_LIBS) -lpthread -lm
$(OBJ)/tests/unit/%.o: ALL_CPPFLAGS += $(CMOCKA_CFLAGS)

.SECONDARY:
-include $(shell [ ! -d $(OBJ) ] || find $(OBJ) $(B)/gen -name '*.d' 2>/dev/null)

# ---- housekeeping -------------------------------------------------------------------------

.PHONY: clean distclean
clean:
	rm -rf $(B)
distclean: clean
	rm -rf configure config.h.in autom4te.cache
