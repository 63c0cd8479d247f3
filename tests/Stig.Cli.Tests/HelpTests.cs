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
}
