using System.Text.RegularExpressions;
using Stig.Model.Execution.Cuda;
using Stig.Tests;

namespace Stig.Model.Tests.Cuda;

/// <summary>
/// What is written about the kernels' entries, held against their parameters as the sources declare them: the head comments in native/ptx,
/// docs/cuda-kernels.md and docs/ptx-resources.md.
/// </summary>
public sealed partial class KernelDocumentationTests
{
    private static readonly string Root = Repository.PathOf("");
    private static readonly Entry[] Entries = [.. Directory.GetFiles(Path.Combine(Root, "native", "ptx"), "*.ptx").SelectMany(Parse)];

    [Fact]
    public void Every_kernel_of_the_program_is_among_them() => Assert.Equal(KernelLibrary.Entries.Order(), Entries.Select(entry => entry.Name).Order());

    [Fact]
    public void Head_comments_name_every_parameter_the_items_of_a_launch_and_the_oracle()
    {
        List<string> missing = [];
        foreach (Entry entry in Entries)
        {
            string text = entry.Head;
            if (Regex.Match(text, @"Parameters, launch and tails as (\w+)") is { Success: true } like)
            {
                text += Entries.Single(other => other.Name == like.Groups[1].Value).Head;
            }

            missing.AddRange(((string[])[$"{entry.Name}: ", "Items: ", "Oracle: "]).Where(part => !text.Contains(part, StringComparison.Ordinal))
                .Select(part => $"{entry.Name}: {part}"));

            // A stride is that of the tensor that it is named after; what a file's entries share is said at its head.
            text += entry.FileHead;
            missing.AddRange(entry.Parameters.Select(parameter => parameter.Name.EndsWith("_stride", StringComparison.Ordinal) ? parameter.Name[..^"_stride".Length] : parameter.Name)
                .Where(name => !Regex.IsMatch(text, $@"\b{name}\b")).Select(name => $"{entry.Name}: {name}"));
        }

        Assert.Empty(missing);
    }

    [Fact]
    public void Heads_of_files_say_launch_alignment_and_types_of_extents()
    {
        Assert.All(Entries.Select(entry => entry.FileHead).Distinct(), head =>
        {
            foreach (string part in (string[])["blocks of 256 threads", "aligned to their element", "Extents and strides (x_stride: that of x) are u64, in elements"])
            {
                Assert.Contains(part, head, StringComparison.Ordinal);
            }
        });
        Assert.All(Entries, entry => Assert.All(entry.Parameters, parameter => Assert.Contains(parameter.Type, (string[])["u64", "u32", "f32"])));
    }

    [Fact]
    public void The_table_of_parameters_has_every_entry_with_its_parameters_in_their_order()
    {
        Dictionary<string, string> rows = ReadRows();
        foreach (Entry entry in Entries)
        {
            string name = rows.ContainsKey(entry.Name) ? entry.Name : entry.Name[..entry.Name.LastIndexOf('_')];
            Assert.True(rows.ContainsKey(name), $"{entry.Name} is not in docs/cuda-kernels.md");
            string written = string.Join(", ", Expand(rows, name).Select(item => item switch
            {
                ["ptr" or "i64", string parameter] => $"u64 {parameter}",
                ["i32", string parameter] => $"u32 {parameter}",
                [string type, string parameter] => $"{type} {parameter}",
                _ => string.Join(' ', item),
            }));
            Assert.Equal($"{entry.Name}: {string.Join(", ", entry.Parameters.Select(parameter => $"{parameter.Type} {parameter.Name}"))}", $"{entry.Name}: {written}");
        }
    }

    [Fact]
    public void The_table_of_resources_has_every_entry()
    {
        IEnumerable<string> written = File.ReadLines(Path.Combine(Root, "docs", "ptx-resources.md"))
            .Select(line => ResourceRow().Match(line)).Where(match => match.Success).Select(match => match.Groups[1].Value);
        Assert.Equal(Entries.Select(entry => entry.Name).Order(StringComparer.Ordinal), written.Order(StringComparer.Ordinal));
    }

    private static IEnumerable<Entry> Parse(string path)
    {
        string text = File.ReadAllText(path);
        string fileHead = Joined(text.Split('\n').TakeWhile(line => line.StartsWith("//", StringComparison.Ordinal) || line.Length == 0));
        foreach (Match match in EntrySource().Matches(text))
        {
            yield return new Entry(
                match.Groups["name"].Value, Joined(match.Groups["head"].Value.Split('\n')), fileHead,
                [.. ParameterSource().Matches(match.Groups["parameters"].Value).Select(parameter => (parameter.Groups[1].Value, parameter.Groups[2].Value))]);
        }
    }

    private static string Joined(IEnumerable<string> comments) => string.Join(' ', comments.Select(line => line.TrimStart('/').Trim()));

    // Parameters by name of entry, or of entries for both types without their suffix.
    private static Dictionary<string, string> ReadRows()
    {
        Dictionary<string, string> rows = [];
        foreach (Match row in TableRow().Matches(File.ReadAllText(Path.Combine(Root, "docs", "cuda-kernels.md"))))
        {
            foreach (Match name in Quoted().Matches(row.Groups[1].Value))
            {
                // `x_f32`, `_bf16`: two entries alike.
                string entry = name.Groups[1].Value;
                rows.Add(entry.StartsWith('_') ? rows.Keys.Last()[..^"_f32".Length] + entry : entry, row.Groups[2].Value);
            }
        }

        return rows;
    }

    private static IEnumerable<string[]> Expand(Dictionary<string, string> rows, string name)
    {
        string text = Parenthesis().Replace(rows[name], "");
        foreach (string item in text.Split(','))
        {
            if (Like().Match(item) is { Success: true } like)
            {
                foreach (string[] parameter in Expand(rows, like.Groups[1].Value))
                {
                    yield return parameter;
                }
            }
            else
            {
                yield return item.Replace("then ", "", StringComparison.Ordinal).Split(' ', StringSplitOptions.RemoveEmptyEntries);
            }
        }
    }

    [GeneratedRegex(@"(?<head>(?://[^\n]*\n)+)\n*\.visible \.entry (?<name>\w+)\((?<parameters>[^)]*)\)")]
    private static partial Regex EntrySource();

    [GeneratedRegex(@"\.param \.(\w+) (\w+)")]
    private static partial Regex ParameterSource();

    [GeneratedRegex(@"^\| (`[^|]+) \| ([^|]+) \| [^|]+ \| .* \|$", RegexOptions.Multiline)]
    private static partial Regex TableRow();

    [GeneratedRegex(@"^\| \w+\.ptx \| `(\w+)` \|")]
    private static partial Regex ResourceRow();

    [GeneratedRegex("`(\\w+)`")]
    private static partial Regex Quoted();

    [GeneratedRegex(@"\([^)]*\)")]
    private static partial Regex Parenthesis();

    [GeneratedRegex(@"^\s*as `(\w+)`\s*$")]
    private static partial Regex Like();

    private sealed record Entry(string Name, string Head, string FileHead, (string Type, string Name)[] Parameters);
}
