using Stig.Tests;

namespace Stig.Cli.Tests;

public sealed class HelpTests
{
    public static TheoryData<string> Commands => ["train", "refine", "merge", "info", "doctor", "demo"];

    [Fact]
    public void Root_help_shows_the_quick_start_every_command_and_every_exit_code()
    {
        CliRun run = CliRun.Of("--help");

        Assert.Equal(ExitCode.Success, run.Code);
        string[] lines = run.Output.Split('\n');
        int start = Array.IndexOf(lines, "Quick start:");
        Assert.InRange(start, 1, lines.Length - 5);
        Assert.All(lines[(start + 1)..(start + 5)], line => Assert.StartsWith("  stig ", line, StringComparison.Ordinal));
        Assert.All(Commands, command => Assert.Contains($"\n  {command.Data} ", run.Output, StringComparison.Ordinal));
        Assert.All(ExitCode.All, entry => Assert.Contains($"{entry.Code,3}  {entry.Meaning}", run.Output, StringComparison.Ordinal));
    }

    // The documentation is the oracle: the same codes, in the same words.
    [Fact]
    public void The_help_and_the_documentation_list_the_same_exit_codes()
    {
        string[] rows =
        [
            .. File.ReadLines(Repository.PathOf("docs/cli.md")).SkipWhile(line => line != "## Exit codes").Skip(1)
                .TakeWhile(line => !line.StartsWith('#')).Where(line => line.StartsWith("| ", StringComparison.Ordinal)).Skip(2),
        ];

        Assert.Equal(rows, ExitCode.All.Select(entry => $"| {entry.Code} | {entry.Meaning} |"));
        Assert.All((string[])["143", "two inputs with one output", "no image belongs to the shard"],
            part => Assert.Contains(ExitCode.All, entry => entry.Meaning.Contains(part, StringComparison.Ordinal)));
    }

    [Theory]
    [InlineData("--threads", "divided between decoding, computing and encoding")]
    [InlineData("--threads", "at most 4096")]
    [InlineData("--batch", "at most 4096")]
    [InlineData("--precision", "by the processor, never by a timing")]
    [InlineData("--quiet", "no warnings")]
    public void The_help_of_refine_says_what_the_documentation_says(string option, string part) =>
        Assert.Contains(CliRun.Of("refine", "--help").Output.Split('\n'),
            line => line.StartsWith($"  {option} ", StringComparison.Ordinal) && line.Contains(part, StringComparison.Ordinal));

    [Theory]
    [MemberData(nameof(Commands))]
    public void Help_of_a_command_describes_every_option_and_gives_examples(string command)
    {
        CliRun run = CliRun.Of(command, "--help");

        Assert.Equal(ExitCode.Success, run.Code);
        Assert.Empty(run.Error);
        Assert.Contains($"Examples:\n  stig {command}", run.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("--quick", run.Output, StringComparison.Ordinal);
        string[] options = [.. run.Output.Split('\n').Where(line => line.StartsWith("  --", StringComparison.Ordinal))];
        Assert.NotEmpty(options);
        Assert.All(options, line => Assert.Matches(@"^  --[^ ]+.*  \S", line));
    }

    [Fact]
    public void No_arguments_show_the_help_and_are_wrong_usage()
    {
        CliRun run = CliRun.Of();

        Assert.Equal(ExitCode.Usage, run.Code);
        Assert.Contains("Quick start:", run.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("refine", "--modle", "x")]
    [InlineData("train", "--real", "a", "--fake", "b")]
    [InlineData("train", "--real", "a", "--fake", "b", "--out", "c", "--steps", "0")]
    [InlineData("train", "--real", "a", "--fake", "b", "--out", "c", "--steps", "x")]
    [InlineData("train", "--real", "a", "--fake", "b", "--out", "c", "--steps", "3", "--epochs", "1")]
    [InlineData("train", "--real", "a", "--fake", "b", "--out", "c", "--preset", "1")]
    [InlineData("refine", "--model", "m", "--out", "o", "--precision", "f16", "a.png")]
    [InlineData("nothing")]
    public void A_wrong_command_line_is_one_line_that_leads_to_the_help(params string[] arguments)
    {
        CliRun run = CliRun.Of(arguments);

        run.AssertFails(ExitCode.Usage, "--help");
        Assert.Empty(run.Output);
    }

    [Theory]
    [InlineData("--png-level", "x", "a whole number from 0 to 9")]
    [InlineData("--png-level", "10", "a whole number from 0 to 9")]
    [InlineData("--png-level", "99999999999", "a whole number from 0 to 9")]
    [InlineData("--quality", "0", "a whole number from 1 to 100")]
    [InlineData("--batch", "4097", "a whole number from 1 to 4096")]
    [InlineData("--batch", "2147483647", "a whole number from 1 to 4096")]
    [InlineData("--threads", "100000", "a whole number from 1 to 4096")]
    [InlineData("--max-pixels", "268435457", "a whole number from 1 to 268435456")]
    [InlineData("--max-failures", "-1", "a whole number from 0 to ")]
    public void A_number_out_of_bounds_is_wrong_usage_in_words(string option, string value, string bounds) =>
        CliRun.Of("refine", "--model", "m", "--out", "o", option, value, "a.png")
            .AssertFails(ExitCode.Usage, $"{option} is {bounds}", $"; it is {value}.");

    [Fact]
    public void Other_numbers_are_named_in_words_too()
    {
        string[] folders = ["--real", "a", "--fake", "b", "--out", "c"];
        CliRun.Of(["train", .. folders, "--learning-rate", "x"]).AssertFails(ExitCode.Usage, "--learning-rate is a number such as 0.001; it is x.");
        CliRun.Of(["bench", "quality", .. folders, "--seeds", "1", "y"]).AssertFails(ExitCode.Usage, "--seeds is a row of whole numbers; it is y.");
    }

    // Before anything is read or written.
    [Theory]
    [InlineData("There is no option --fitt; a file of that name is ./--fitt.", "refine", "--model", "m", "--out", "o", "--fitt", "reject", "a.png")]
    [InlineData("There is no option --fitt;", "refine", "--model", "m", "--out", "o", "--fitt=reject", "a.png", "--", "--b.png")]
    [InlineData("There is no option --dryrun;", "refine", "--model", "m", "--out", "o", "--dryrun", "a.png")]
    [InlineData("There is no option --jsn;", "info", "--jsn")]
    [InlineData("--out is empty.", "refine", "--model", "m", "--out", "", "a.png")]
    [InlineData("--model is empty.", "refine", "--model", "", "--out", "o", "a.png")]
    [InlineData("IMAGE|DIR is empty.", "refine", "--model", "m", "--out", "o", "")]
    [InlineData("--real is empty.", "train", "--real", "", "--fake", "b", "--out", "c")]
    public void An_unknown_option_and_an_empty_value_are_wrong_usage(string part, params string[] arguments) =>
        CliRun.Of(arguments).AssertFails(ExitCode.Usage, part, $"See `stig {arguments[0]} --help`.");

    [Fact]
    public void Names_that_begin_with_a_dash_follow_two_of_them()
    {
        CliRun.Of("info", "--", "--jsn").AssertFails(ExitCode.Model, "--jsn");
        CliRun.Of("info", "./--jsn").AssertFails(ExitCode.Model, "--jsn");
        Assert.Equal(ExitCode.Success, CliRun.Of("refine", "--fitt", "--help").Code);
        CliRun.Of("selftest", "--filter", "", "--device", "cuda:63").AssertFails(ExitCode.Device, "cuda:63");
    }
}
