#pragma once
/// Everything that a program of your own needs: `#include <loopbank/loopbank.h>` and link
/// `loopbank::loopbank`. docs/building.md shows how to embed the library.
///
/// The front of every floor, in the order in which data flows. The ops are not here: to change the
/// model, include "loopbank/ops/NAME.h" by name.

// Text and tokens
#include "loopbank/data/text_reader.h"
#include "loopbank/data/tokenize.h"
#include "loopbank/tokenize/tokenizer.h"

// The model of the paper
#include "loopbank/model/config.h"
#include "loopbank/model/cost.h"
#include "loopbank/model/language_model.h"
#include "loopbank/model/weights.h"

// Training
#include "loopbank/train/checkpoint.h"
#include "loopbank/train/run_config.h"
#include "loopbank/train/trainer.h"

// Scores
#include "loopbank/eval/evaluate.h"
#include "loopbank/eval/scorer.h"
#include "loopbank/eval/task.h"

// A trained model in use
#include "loopbank/dissect/inside.h"
#include "loopbank/dissect/probe.h"
#include "loopbank/dissect/scored_text.h"
#include "loopbank/dissect/thinking.h"
#include "loopbank/infer/generator.h"
#include "loopbank/infer/inference_model.h"

// The ten systems
#include "loopbank/study/runner.h"
#include "loopbank/study/study_config.h"

// Errors, and what the library reports
#include "loopbank/support/error.h"
#include "loopbank/support/log.h"
