#include "print_steps.h"

#include <cstdio>
#include <string>
#include <string_view>

#include "store_state.h"

namespace hyper_lmdb::power {

namespace {

class Printer {
 public:
  void number(std::uint64_t number) {
    for (unsigned i = 0; i < 4; ++i) out_.push_back(static_cast<char>(number >> (8 * i)));
  }
  void bytes(std::string_view bytes) {
    number(bytes.size());
    out_.append(bytes);
  }
  void step(const MarkedStep& marked) {
    const Step& step = *marked.step;
    number(step.writer);
    number(static_cast<unsigned>(marked.before));
    number(static_cast<unsigned>(marked.after));
    number(marked.number);
    number(static_cast<unsigned>(step.kind));
    number(step.by_path ? 1 : 0);
    bytes(step.prefix);
    number(step.elements.size());
    for (const Element& element : step.elements) {
      number(static_cast<unsigned>(element.kind));
      bytes(element.path.empty() ? element.key : element.path);
      bytes(element.value);
    }
  }
  void print() const { std::fwrite(out_.data(), 1, out_.size(), stdout); }

 private:
  std::string out_;
};

}  // namespace

std::vector<MarkedStep> marked_steps(const Session& session, Model* model) {
  std::vector<MarkedStep> all;
  for (const Step& step : session.steps) {
    model->apply(step);
    Mark before = Mark::begin, after = Mark::ack;
    if (step.kind == Step::Kind::sync) before = Mark::sync_begin, after = Mark::sync_end;
    if (step.kind == Step::Kind::reset) before = Mark::begin_everyone, after = Mark::ack_everyone;
    all.push_back({&step, before, after, model->place()[step.writer]});
  }
  return all;
}

void print_steps(const std::vector<Session>& sessions, std::size_t number) {
  Model model;
  for (std::size_t i = 0; i < number; ++i) {
    for (const Step& step : sessions[i].steps) model.apply(step);
  }
  const Session& session = sessions[number];
  const Options options = options_for("", session.mode, session.buffer_bytes);
  Printer printer;
  printer.number(static_cast<unsigned>(session.mode));
  printer.number(*options.capacity);
  printer.number(*options.sync_interval_ms);
  printer.number(session.buffer_bytes);
  printer.number(session.writers);
  printer.number(session.dies ? 1 : 0);
  for (const MarkedStep& step : marked_steps(session, &model)) printer.step(step);
  printer.print();
}

}  // namespace hyper_lmdb::power
