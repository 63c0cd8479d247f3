using System.Buffers.Binary;
using System.Diagnostics;
using System.Globalization;
using System.IO.Hashing;
using System.Text;
using System.Text.Json;
using Stig.Model.Imaging;
using Stig.Model.Refinement;
using Stig.Tests;

namespace Stig.Cli.Tests;

/// <summary>The batch job as a program: kills, codes, progress, shards.</summary>
public sealed class BatchTests(Workspace workspace)
{
    private readonly string folder = workspace.NewFolder();

    private string In => Path.Combine(folder, "in");

    private string Out => Path.Combine(folder, "out");

    // The oracle is an undisturbed run: after any number of kills the next run ends with the same files, byte for byte.
    [Fact]
    [Trait(Soak.Category, Soak.LongForm)]
    public void Killed_at_random_moments_a_job_ends_with_the_files_of_an_undisturbed_one()
    {
        int images = Soak.Scale(160, 2000), kills = Soak.Scale(8, 300);
        const int seed = 20;
        var random = new Random(seed);
        WriteInputs(images);
        string undisturbed = Path.Combine(folder, "undisturbed");
        Stopwatch clock = Stopwatch.StartNew();
        Assert.Equal(ExitCode.Success, Refine(undisturbed, null, "--quiet").Code);
        TimeSpan duration = clock.Elapsed;
        SortedDictionary<string, string> whole = Tree(undisturbed);
        TimeSpan start = Measure();

        int killed = 0, half = 0;
        for (int i = 0; i < kills; i++)
        {
            if (i % 3 == 2 && Directory.Exists(Out))
            {
                Directory.Delete(Out, recursive: true);
            }

            // Anywhere in the first three quarters of what there is to write, so that most runs are killed, and the next ones resume.
            TimeSpan wait = start + (0.75 * random.NextDouble() * TimeSpan.FromTicks(Math.Max(0, (duration - start).Ticks)));
            using Process process = Start(Out);
            if (!process.WaitForExit(wait))
            {
                process.Kill();
                process.WaitForExit();
                killed++;
            }

            // What has a final name is whole at any moment.
            foreach ((string name, string content) in Directory.Exists(Out) ? Tree(Out) : [])
            {
                half += !name.Contains(".stig-", StringComparison.Ordinal) && whole[name] != content ? 1 : 0;
            }
        }

        Assert.Contains(Refine(Out, null, "--quiet").Code, (int[])[ExitCode.Success, ExitCode.NothingToDo]);
        Soak.Report($"{kills} runs of {images} images, {killed} killed, seed {seed}");
        Assert.Equal(0, half);
        Assert.Equal(whole, Tree(Out));
        Assert.True(killed >= kills / 4, $"only {killed} of {kills} runs were killed before their end");
    }

    [Fact]
    public void Interrupted_once_a_job_ends_cleanly_and_goes_on_later()
    {
        // The list stays open until the signal, so that the run cannot end by itself before it.
        WriteInputs(600);
        string[] names = [.. Directory.GetFiles(In, "*.png", SearchOption.AllDirectories)];
        using Process first = StartListed(names);
        string? line;
        do
        {
            line = first.StandardOutput.ReadLine();
        }
        while (line is not null && !line.Contains("\"progress\"", StringComparison.Ordinal));

        CliRun.Interrupt(first);
        string output = first.StandardOutput.ReadToEnd(), error = first.StandardError.ReadToEnd();
        first.WaitForExit();

        Assert.Equal(ExitCode.Interrupted, first.ExitCode);
        Assert.Contains("the same command goes on from here", error, StringComparison.Ordinal);
        Assert.DoesNotContain(Tree(Out).Keys, name => name.Contains(".stig-", StringComparison.Ordinal));
        JsonElement summary = JsonDocument.Parse(output.Trim().Split('\n')[^1]).RootElement;
        Assert.Equal("summary", summary.GetProperty("event").GetString());
        Assert.Equal(Tree(Out).Count, summary.GetProperty("refined").GetInt32());

        using Process second = StartListed([.. names, Path.Combine(In, "later.png")]);
        second.StandardInput.Close();
        second.StandardOutput.ReadToEnd();
        Assert.Contains("later.png", second.StandardError.ReadToEnd(), StringComparison.Ordinal);
        second.WaitForExit();
        Assert.Equal(ExitCode.SomeFailed, second.ExitCode);
        Assert.Equal(600, Tree(Out).Count);
    }

    [Fact]
    public void Exit_codes_tell_what_came_of_the_images()
    {
        WriteInputs(3);
        string[] arguments = ["refine", "--model", workspace.FilterModel, "--out", Out, "--quiet", In];
        Assert.Equal(ExitCode.Success, CliRun.Of(arguments).Code);
        Assert.Equal(ExitCode.NothingToDo, CliRun.Of(arguments).Code);
        File.WriteAllText(Path.Combine(In, "bad.png"), "text");
        CliRun some = CliRun.Of(arguments);
        some.AssertFails(ExitCode.SomeFailed, "bad.png");
        Assert.Empty(some.Output);
        CliRun.Of("refine", "--model", workspace.FilterModel, "--out", Out, "--quiet", Path.Combine(In, "bad.png")).AssertFails(ExitCode.Data, "bad.png");
    }

    // Outputs that exist are some failures among inputs that can be used, also where they are all.
    [Fact]
    public void Outputs_that_must_not_exist_are_some_failures()
    {
        WriteInputs(3);
        string[] arguments = ["refine", "--model", workspace.FilterModel, "--out", Out, "--existing", "fail", In];
        Assert.Equal(ExitCode.Success, CliRun.Of(arguments).Code);

        CliRun again = CliRun.Of(arguments);

        Assert.Equal((ExitCode.SomeFailed, 3), (again.Code, again.ErrorLines.Length));
        Assert.Contains("Failed: 3 exists.", again.Output, StringComparison.Ordinal);
    }

    // The filter is resampled for these sizes, which is worth a warning otherwise.
    [Fact]
    public void Quiet_runs_show_errors_only()
    {
        WriteInputs(3);
        string[] arguments = ["refine", "--model", workspace.FilterModel, "--out", Out, In];
        Assert.Equal(new CliRun(ExitCode.Success, "", ""), CliRun.Of([.. arguments, "--quiet", "--dry-run"]));
        Assert.Equal(new CliRun(ExitCode.Success, "", ""), CliRun.Of([.. arguments, "--quiet"]));
        Assert.Equal(new CliRun(ExitCode.NothingToDo, "", ""), CliRun.Of([.. arguments, "--quiet", "--progress", "json"]));

        Assert.Contains("warning", CliRun.Of([.. arguments, "--existing", "overwrite"]).Error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_dry_run_counts_and_writes_nothing()
    {
        WriteInputs(5);
        File.WriteAllText(Path.Combine(In, "notes.txt"), "x");

        CliRun run = CliRun.Of("refine", "--model", workspace.FilterModel, "--out", Out, "--dry-run", In);

        Assert.Equal((ExitCode.Success, ""), (run.Code, run.Error));
        Assert.Contains("Would refine 5 images", run.Output, StringComparison.Ordinal);
        Assert.Contains("1 other files", run.Output, StringComparison.Ordinal);
        CliRun json = CliRun.Of("refine", "--model", workspace.FilterModel, "--out", Out, "--dry-run", "--progress", "json", In);
        Assert.Equal("""{"event":"preview","refine":5,"skip":0,"fail":0,"foreign":1}""" + Environment.NewLine, json.Output);
        Assert.False(Directory.Exists(Out));
    }

    [Fact]
    public void A_dry_run_names_what_cannot_be_refined_and_has_the_code_of_the_run()
    {
        WriteInputs(2);
        string[] arguments = ["refine", "--model", workspace.FilterModel, "--out", Out, "--existing", "fail"];
        Assert.Equal(ExitCode.Success, CliRun.Of([.. arguments, In]).Code);
        foreach (string[] dry in (string[][])[["--dry-run"], []])
        {
            CliRun run = CliRun.Of([.. arguments, .. dry, In]);
            Assert.Equal(ExitCode.SomeFailed, run.Code);
            Assert.Equal(2, run.ErrorLines.Length);
            Assert.All(run.ErrorLines, line => Assert.Contains("there is an output", line, StringComparison.Ordinal));
        }

        ImageCodec.Save(Path.Combine(In, "later.png"), SyntheticImages.GanLike(1, 0, Workspace.Size));
        Assert.Equal(ExitCode.SomeFailed, CliRun.Of([.. arguments, "--dry-run", In]).Code);
        Assert.Equal(ExitCode.SomeFailed, CliRun.Of([.. arguments, In]).Code);
    }

    // JPEG holds 64 KB of XMP at most; the notes tell how many there are, a different number for each image.
    [Fact]
    public void What_images_lose_is_warned_of_once_a_kind()
    {
        for (int i = 0; i < 4; i++)
        {
            byte[] png = ImageCodec.Encode(SyntheticImages.GanLike(3, i, Workspace.Size), ImageFormat.Png).Bytes;
            string xmp = "<x:xmpmeta xmlns:x=\"adobe:ns:meta/\"><rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">"
                + $"<rdf:Description rdf:about=\"\">{new string(' ', 70_000 + i)}</rdf:Description></rdf:RDF></x:xmpmeta>";
            byte[] chunk = [.. "iTXtXML:com.adobe.xmp\0\0\0\0\0"u8, .. Encoding.UTF8.GetBytes(xmp)];
            byte[] length = new byte[4], check = new byte[4];
            BinaryPrimitives.WriteInt32BigEndian(length, chunk.Length - 4);
            BinaryPrimitives.WriteUInt32BigEndian(check, Crc32.HashToUInt32(chunk));
            Directory.CreateDirectory(In);

            // After the header.
            File.WriteAllBytes(Path.Combine(In, $"{i}.png"), [.. png[..33], .. length, .. chunk, .. check, .. png[33..]]);
        }

        CliRun run = CliRun.Of("refine", "--model", workspace.FilterModel, "--out", Out, "--format", "jpeg", "--progress", "none", In);

        Assert.Equal(ExitCode.Success, run.Code);
        Assert.Contains("XMP metadata have 70", Assert.Single(run.ErrorLines), StringComparison.Ordinal);
        string[] lines = File.ReadAllLines(Path.Combine(Out, "manifest.jsonl"));
        Assert.Equal(4, lines.Count(line => line.Contains("XMP metadata have", StringComparison.Ordinal)));
    }

    // Files of a folder are known beforehand, names on standard input are not: of two that cannot both have their output the later one fails.
    [Fact]
    public void Names_on_standard_input_that_collide_fail_alone()
    {
        string place = Path.Combine(folder, "listed");
        string[] names = ["a.png", "x.jpg", "x.png/b.png", "x.png/c.png", "y.png/b.png", "y.jpg", "z.jpg", "z.png", "good.png", "good.png"];
        foreach (string path in names.Distinct().Select(name => Path.Combine(place, name)).Append(Path.Combine(In, place[1..], "a.png")))
        {
            if (!path.EndsWith(".jpg", StringComparison.Ordinal))
            {
                ImageCodec.Save(path, SyntheticImages.GanLike(3, 0, Workspace.Size));
            }
        }

        foreach (string name in (string[])["x.jpg", "y.jpg", "z.jpg"])
        {
            // The content decides on the format.
            File.Copy(Path.Combine(place, "good.png"), Path.Combine(place, name));
        }

        using Process process = Start(Out, In, "-");
        foreach (string name in names)
        {
            process.StandardInput.WriteLine(Path.Combine(place, name));
        }

        process.StandardInput.Close();
        string error = process.StandardError.ReadToEnd();
        process.WaitForExit();

        Assert.True(process.ExitCode == ExitCode.SomeFailed, $"exit code {process.ExitCode}: {error}");
        string[] lines = error.Split('\n', StringSplitOptions.RemoveEmptyEntries), later = ["a.png", "x.png/b.png", "x.png/c.png", "y.jpg", "z.png"];
        Assert.Equal(later.Length, lines.Length);
        Assert.All(later, name => Assert.Single(
            lines, line => line.StartsWith($"stig: {Path.Combine(place, name)}: another input", StringComparison.Ordinal)));
        Assert.Equal(["a.png", "good.png", "x.png", "y.png/b.png", "z.png"], Tree(Out).Keys.Select(name => Path.GetRelativePath(place[1..], name)));
    }

    [Fact]
    public void Names_that_end_in_zero_bytes_ask_for_the_option()
    {
        WriteInputs(2);
        using Process process = Start(Out, "-");
        process.StandardInput.Write(string.Concat(Directory.GetFiles(In, "*.png", SearchOption.AllDirectories).Select(name => $"{name}\0")));
        process.StandardInput.Close();
        string error = process.StandardError.ReadToEnd();
        process.WaitForExit();

        Assert.Equal(ExitCode.Data, process.ExitCode);
        Assert.Contains("--null", Assert.Single(error.Split('\n', StringSplitOptions.RemoveEmptyEntries)), StringComparison.Ordinal);
        Assert.False(Directory.Exists(Out));
    }

    [Theory]
    [InlineData("--shard", "4/3")]
    [InlineData("--shard", "auto")]
    [InlineData("--null")]
    [InlineData("--existing", "perhaps")]
    public void Wrong_options_of_a_job_are_wrong_usage(params string[] options)
    {
        WriteInputs(1);
        CliRun run = CliRun.Of(["refine", "--model", workspace.FilterModel, "--out", Out, .. options, In]);
        run.AssertFails(ExitCode.Usage, options[0]);
        Assert.False(Directory.Exists(Out));
    }

    [Theory]
    [InlineData("SLURM_ARRAY_TASK_ID=1 SLURM_ARRAY_TASK_COUNT=3 SLURM_ARRAY_TASK_STEP=0",
        "SLURM_ARRAY_TASK_STEP is \"0\"; it must be a whole number of at least 1.")]
    [InlineData("SLURM_ARRAY_TASK_ID=1 SLURM_ARRAY_TASK_COUNT=3 SLURM_ARRAY_TASK_MIN=x",
        "SLURM_ARRAY_TASK_MIN is \"x\"; it must be a whole number of at least 0.")]
    [InlineData("SLURM_ARRAY_TASK_ID=x SLURM_ARRAY_TASK_COUNT=y", "SLURM_ARRAY_TASK_ID is \"x\";")]
    [InlineData("JOB_COMPLETION_INDEX=1", "STIG_SHARD_COUNT is not set;")]
    [InlineData("OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=0", "OMPI_COMM_WORLD_SIZE is \"0\";")]
    public void The_variable_that_is_wrong_is_named(string variables, string problem)
    {
        Dictionary<string, string> environment = variables.Split(' ').Select(entry => entry.Split('='))
            .ToDictionary(entry => entry[0], entry => entry[1]);
        Assert.Null(Shard.OfScheduler(environment.GetValueOrDefault, out string said));
        Assert.StartsWith(problem, said, StringComparison.Ordinal);
        Assert.EndsWith("Set it, or give --shard i/n.", said, StringComparison.Ordinal);
    }

    [Fact]
    public void A_second_run_on_a_folder_is_told_who_holds_it()
    {
        WriteInputs(2);
        using Process first = Start(Out, "-");
        first.StandardInput.WriteLine(Path.Combine(In, "0", "00000.png"));
        first.StandardInput.Flush();
        string note = Path.Combine(Out, ".stig", "refine.holder");
        Assert.True(SpinWait.SpinUntil(() => File.Exists(note), TimeSpan.FromSeconds(30)));

        CliRun second = CliRun.Of("refine", "--model", workspace.FilterModel, "--out", Out, "--quiet", In);

        first.StandardInput.Close();
        first.WaitForExit();
        second.AssertFails(ExitCode.Output, Out, $"process {first.Id}", "in use");
        Assert.Equal(ExitCode.Success, first.ExitCode);
        Assert.Equal(ExitCode.Success, CliRun.Of("refine", "--model", workspace.FilterModel, "--out", Out, "--quiet", In).Code);
    }

    [Fact]
    public void Merging_shards_checks_that_they_cover_the_inputs_exactly()
    {
        WriteInputs(21);
        string[] common = ["refine", "--model", workspace.FilterModel, "--out", Out, "--quiet"];
        string[] merge = ["merge", "--out", Out, In];
        Assert.Equal(ExitCode.Success, CliRun.Of([.. common, "--shard", "0/3", In]).Code);
        CliRun.Of(merge).AssertFails(ExitCode.Data, "2 of 3 shards");
        Assert.Equal(ExitCode.Success, CliRun.Of([.. common, "--shard", "1/3", In]).Code);
        Assert.Equal(ExitCode.Success, CliRun.Of([.. common, "--shard", "2/3", In]).Code);

        CliRun exact = CliRun.Of(merge);
        Assert.Equal((ExitCode.Success, ""), (exact.Code, exact.Error));
        Assert.Equal(21, File.ReadLines(Path.Combine(Out, "manifest.jsonl")).Count());
        Assert.Equal(ExitCode.NothingToDo, CliRun.Of([.. common, In]).Code);

        string[] outputs = [.. Tree(Out).Keys];
        File.Delete(Path.Combine(Out, outputs[0]));
        ImageCodec.Save(Path.Combine(In, "later.png"), SyntheticImages.GanLike(1, 0, Workspace.Size));
        CliRun wrong = CliRun.Of(merge);
        Assert.Equal(ExitCode.SomeFailed, wrong.Code);
        Assert.Equal(2, wrong.ErrorLines.Length);
        Assert.Contains(wrong.ErrorLines, line => line.Contains(outputs[0], StringComparison.Ordinal) && line.Contains("missing", StringComparison.Ordinal));
        Assert.Contains(wrong.ErrorLines, line => line.Contains("later.png", StringComparison.Ordinal));
    }

    // Two simulated GPUs share one queue; which of them an image came to is chance, its bytes are not. The oracle is one of them alone.
    [Fact]
    public void All_GPUs_together_give_the_bytes_of_one()
    {
        SimulatedCuda.Require();
        WriteInputs(40);
        string one = Path.Combine(folder, "one");
        foreach ((string device, string output) in (ValueTuple<string, string>[])[("cuda:0", one), ("cuda:all", Out)])
        {
            ProcessStartInfo info = new(DotNet,
            [
                Path.Combine(AppContext.BaseDirectory, "stig.dll"), "refine", "--model", workspace.FilterModel, "--out", output, "--quiet",
                "--device", device, "--batch", "2", In,
            ])
            {
                RedirectStandardError = true,
            };
            info.Environment["CUDASIM_DEVICE_COUNT"] = "2";
            using Process process = Process.Start(info)!;
            string error = process.StandardError.ReadToEnd();
            process.WaitForExit();
            Assert.True(process.ExitCode == ExitCode.Success, $"{device}: exit code {process.ExitCode}: {error}");
        }

        Assert.Equal(Tree(one), Tree(Out));
        Assert.Equal(["cuda:0", "cuda:1"], File.ReadLines(Path.Combine(Out, "manifest.jsonl"))
            .Select(line => JsonDocument.Parse(line).RootElement.GetProperty("plan").GetString()!.Split(' ')[0]).Distinct().Order());
    }

    // RLIMIT_FSIZE makes writing fail as a full disk does, at a size that no image here reaches but the manifest does.
    [Fact]
    public void A_disk_that_is_full_ends_the_job_and_leaves_nothing_half_written()
    {
        Assert.SkipUnless(File.Exists("/bin/bash"), "There is no bash to limit the size of files with.");
        WriteInputs(120);
        ProcessStartInfo info = new("/bin/bash",
        [
            "-c", "trap '' XFSZ; ulimit -f 16; exec \"$@\"", "limited", DotNet, Path.Combine(AppContext.BaseDirectory, "stig.dll"), "refine",
            "--model", workspace.FilterModel, "--out", Out, "--quiet", In,
        ])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        info.Environment["DOTNET_EnableWriteXorExecute"] = "0";
        using Process process = Process.Start(info)!;
        string error = process.StandardError.ReadToEnd();
        process.WaitForExit();

        Assert.True(process.ExitCode == ExitCode.Output, $"exit code {process.ExitCode}: {error}");
        Assert.Contains("cannot be written", error, StringComparison.Ordinal);
        Assert.DoesNotContain(Tree(Out).Keys, name => name.Contains(".stig-", StringComparison.Ordinal));
        Assert.InRange(Tree(Out).Count, 1, 119);
        Assert.All(Tree(Out).Keys, name => ImageCodec.Load(Path.Combine(Out, name)));
        Assert.Equal(ExitCode.Success, CliRun.Of("refine", "--model", workspace.FilterModel, "--out", Out, "--quiet", In).Code);
        Assert.Equal(120, Tree(Out).Count);
    }

    private static string DotNet =>
        Environment.ProcessPath is string path && Path.GetFileNameWithoutExtension(path) == "dotnet" ? path : "dotnet";

    private void WriteInputs(int count)
    {
        for (int i = 0; i < count; i++)
        {
            ImageCodec.Save(Path.Combine(In, $"{i % 5}", $"{i:D5}.png"), SyntheticImages.GanLike(3, i, 32 + (4 * (i % 3))));
        }
    }

    private CliRun Refine(string output, Action<Process, string>? watch, params string[] options) =>
        CliRun.OfProcess("stig", watch, ["refine", "--model", workspace.FilterModel, "--out", output, .. options, In]);

    // Until something is written, that is, how long a run takes to start.
    private TimeSpan Measure()
    {
        string probe = Path.Combine(folder, "probe");
        Stopwatch clock = Stopwatch.StartNew();
        using Process process = Start(probe);
        Assert.True(SpinWait.SpinUntil(() => Directory.Exists(probe), TimeSpan.FromSeconds(60)));
        TimeSpan start = clock.Elapsed;
        process.Kill();
        process.WaitForExit();
        return start;
    }

    private Process Start(string output, params string[] inputs) => Process.Start(new ProcessStartInfo(DotNet,
    [
        Path.Combine(AppContext.BaseDirectory, "stig.dll"), "refine", "--model", workspace.FilterModel, "--out", output, "--quiet",
        .. inputs.Length > 0 ? inputs : [In],
    ])
    {
        RedirectStandardInput = true,
        RedirectStandardError = true,
    })!;

    // Gives the names on standard input, which is left open.
    private Process StartListed(string[] names)
    {
        Process process = Process.Start(new ProcessStartInfo(DotNet,
        [
            Path.Combine(AppContext.BaseDirectory, "stig.dll"), "refine", "--model", workspace.FilterModel, "--out", Out, "--progress", "json",
            "--batch", "1", "--durable", "-",
        ])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        foreach (string name in names)
        {
            process.StandardInput.WriteLine(name);
        }

        process.StandardInput.Flush();
        return process;
    }

    private static SortedDictionary<string, string> Tree(string root)
    {
        SortedDictionary<string, string> tree = new(StringComparer.Ordinal);
        foreach (string path in Directory.EnumerateFiles(root, "*", new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = 0 }))
        {
            string name = Path.GetRelativePath(root, path);
            if (!name.StartsWith(".stig/", StringComparison.Ordinal) && !name.StartsWith("manifest", StringComparison.Ordinal))
            {
                tree.Add(name, Convert.ToHexString(File.ReadAllBytes(path)));
            }
        }

        return tree;
    }
}
