#include "paths/path_resolver.h"

namespace hyper_lmdb {

Result<Resolved> follow_links(PathText* path, std::size_t checked, unsigned* steps_left,
                              std::size_t most_bytes, LinkAt link_at) {
  while (checked < path->view().size()) {
    const std::string_view text = path->view();
    const std::size_t end = std::min(text.find('/', checked + 1), text.size());
    auto target = link_at(text.substr(0, end));
    if (!target) return target.error();
    if (!target.value()) {
      checked = end;
      continue;
    }
    if (*steps_left == 0) return Resolved::dead;
    --*steps_left;
    PathText next;
    const std::string_view rest = text.substr(std::min(end + 1, text.size()));
    if (target.value()->size() > most_bytes) return Resolved::dead;
    next.assign(*target.value());
    if (!next.append(rest, most_bytes)) return Resolved::dead;
    *path = next;
    checked = 0;
  }
  return Resolved::path;
}

}  // namespace hyper_lmdb
