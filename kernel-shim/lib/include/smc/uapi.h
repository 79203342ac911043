/* SPDX-License-Identifier: MIT */
/* What /dev/smc understands. An installed libsmc has the module's header itself in this place. */
#include "../../../module/uapi/smc.h"
