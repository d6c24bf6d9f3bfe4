#include "loopbank/serve/chat_template.h"
