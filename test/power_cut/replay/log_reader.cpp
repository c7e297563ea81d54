#include "log_reader.h"

#include <fstream>
#include <stdexcept>

namespace hyper_lmdb::power {

std::vector<LogEvent> read_log(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("cannot open " + path);
  std::vector<LogEvent> events;
  Head head;
  while (in.read(reinterpret_cast<char*>(&head), sizeof head)) {
    std::shared_ptr<std::string> data;
    if (head.data_bytes > 0) {
      data = std::make_shared<std::string>(head.data_bytes, '\0');
      if (!in.read(data->data(), static_cast<std::streamsize>(head.data_bytes))) {
        throw std::runtime_error(path + " ends within an event");
      }
    }
    events.push_back({head.event, head.file, head.at, head.count, std::move(data)});
  }
  // Nothing, so that there is a moment after the last event too.
  events.push_back({Event::process, 0, 0, 0, nullptr});
  return events;
}

}  // namespace hyper_lmdb::power
