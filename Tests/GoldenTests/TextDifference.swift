// A unified difference of two texts, without a program to make it.

enum TextDifference {
    /// The lines in which `new` differs from `old`, each with three lines of context; empty if they are equal.
    static func unified(_ old: String, _ new: String, context: Int = 3) -> String {
        let a = old.split(separator: "\n", omittingEmptySubsequences: false)
        let b = new.split(separator: "\n", omittingEmptySubsequences: false)
        // common[i][j]: length of the longest common subsequence of a[i...] and b[j...].
        var common = [[Int]](repeating: [Int](repeating: 0, count: b.count + 1), count: a.count + 1)
        for i in stride(from: a.count - 1, through: 0, by: -1) {
            for j in stride(from: b.count - 1, through: 0, by: -1) {
                common[i][j] = a[i] == b[j] ? common[i + 1][j + 1] + 1 : max(common[i + 1][j], common[i][j + 1])
            }
        }
        var lines: [(mark: Character, text: Substring)] = []
        var i = 0, j = 0
        while i < a.count || j < b.count {
            if i < a.count, j < b.count, a[i] == b[j] {
                lines.append((" ", a[i]))
                i += 1
                j += 1
            } else if j >= b.count || i < a.count && common[i + 1][j] >= common[i][j + 1] {
                lines.append(("-", a[i]))
                i += 1
            } else {
                lines.append(("+", b[j]))
                j += 1
            }
        }
        var text = "", last = -1
        for (number, line) in lines.enumerated() {
            let near = lines[max(0, number - context) ... min(lines.count - 1, number + context)]
            guard near.contains(where: { $0.mark != " " }) else { continue }
            if last >= 0, number != last + 1 { text += "@@\n" }
            text += "\(line.mark)\(line.text)\n"
            last = number
        }
        return text
    }
}
