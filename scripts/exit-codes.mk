# Exit codes that survive GNU make; included by the Makefile.
#
# make exits with 2 whenever a recipe fails, but `make demo` and `make test` promise 1 for
# a step or test that failed and 2 for a machine that lacks something. make itself exits
# with 1 in one case: in question mode (-q), when something is not up to date. So:
#
#   demo: demo-run          $(FAILS_WITH_1) is text in a recipe, which question mode answers
#   	$(FAILS_WITH_1)        with exit code 1 without running it; or it is empty
#   demo-run:
#   	$(RUN_MARKED) COMMAND  runs also in question mode (+); exit code 1 is kept in a mark
#
# In the Makefile every recipe starts with $(RUN) or $(RUN_MARKED), so it runs in question
# mode too. `make -n`, `make -q` and `make -t`, when asked for, mean what they always do.

ifeq (,$(findstring n,$(firstword -$(MAKEFLAGS)))$(findstring q,$(firstword -$(MAKEFLAGS)))$(findstring t,$(firstword -$(MAKEFLAGS))))
RUN := +@
MAKEFLAGS += -q
else
RUN := @
endif

# The parent of the shell that make starts is make: runs side by side have marks of their own.
MARKS := target/make
MARK := $(MARKS)/$(shell echo $$PPID).failed
RUN_MARKED = $(RUN)scripts/under-make $(MARK)
FAILS_WITH_1 = $(if $(shell test -e $(MARK) && rm -f $(MARK) && echo failed),@false)
