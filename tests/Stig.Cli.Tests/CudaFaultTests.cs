using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;
using Stig.Model.Imaging;
using Stig.Tests;

namespace Stig.Cli.Tests;

/// <summary>
/// What a user meets on a machine whose CUDA is broken, played by the program itself as a process of its own on the simulated libraries. Each
/// fault ends in one line that says what, why and what to do, and in its exit code; nothing stays on the device.
/// </summary>
public sealed class CudaFaultTests(Workspace workspace)
{
    private const string DnnPart = "libcudnn_cnn.so.9";

    // All that the program could find libraries by.
    private static readonly string[] Ambient =
        ["LD_LIBRARY_PATH", "VIRTUAL_ENV", "CONDA_PREFIX", "CUDA_PATH", "CUDA_HOME", "CUDASIM_LEAK_REPORT"];

    private readonly string folder = workspace.NewFolder();

    private string Output => Path.Combine(folder, "out");

    [Fact]
    public void Without_a_driver_the_line_says_what_was_tried_and_the_processor_serves()
    {
        string libraries = Libraries(file => file != "libcuda.so.1");
        Refine(libraries).AssertFails(ExitCode.Device, "cuda:0", "NVIDIA driver was not found (libcuda.so.1)", libraries, "Install the driver", "--device cpu");
        Assert.False(Path.Exists(Output));

        CliRun automatic = Run(libraries, [], ["refine", "--model", workspace.FilterModel, "--out", Output, "--device", "auto", workspace.Fake]);
        Assert.True(automatic.Code == ExitCode.Success, automatic.Error);
        Doctor(libraries, [], "driver was not found", "Install the driver");
    }

    [Fact]
    public void A_driver_that_is_too_old_is_told_with_both_versions() =>
        Fails(Libraries(), ["CUDASIM_DRIVER_VERSION=11080"], "supports CUDA 11.8, but CUDA 12.0 is needed", "Install an NVIDIA driver for CUDA 12 or newer");

    [Fact]
    public void A_driver_without_a_GPU_says_where_to_look() =>
        Fails(Libraries(), ["CUDASIM_DEVICE_COUNT=0"], "sees no GPU", "nvidia-smi", "CUDA_VISIBLE_DEVICES");

    [Fact]
    public void A_GPU_that_is_too_old_is_named_with_what_it_lacks() =>
        Fails(Libraries(), ["CUDASIM_COMPUTE_CAPABILITY=75", "CUDASIM_DEVICE_NAME=Tesla T4"], "cuda:0 (Tesla T4) has compute capability 7.5, but 8.0 is needed");

    [Fact]
    public void A_number_beyond_the_last_GPU_is_told_how_many_there_are() =>
        Refine(Libraries(), [], "cuda:3").AssertFails(ExitCode.Device, "There is no cuda:3", "1 GPU to this process, cuda:0");

    [Fact]
    public void Version_8_of_cuDNN_under_its_own_name_is_told_apart_from_none()
    {
        string libraries = Libraries(file => !file.StartsWith("libcudnn", StringComparison.Ordinal));
        Fails(libraries, [], "cuDNN 9 cannot be used", "was not found (libcudnn.so.9)", "nvidia-cudnn-cu", "STIG_CUDA_PATH");

        string old = Path.Combine(libraries, "libcudnn.so.8");
        File.CreateSymbolicLink(old, Path.Combine(SimulatedCuda.BuiltFolder!, "libcudnn.so.9"));
        Fails(libraries, [], $"cuDNN 8 was found ({old}), but cuDNN 9 is needed", "nvidia-cudnn-cu");
    }

    [Fact]
    public void Version_8_of_cuDNN_under_the_name_of_9_is_told_by_its_version() =>
        Fails(Libraries(), ["CUDASIM_CUDNN_VERSION=8907"], "libcudnn.so.9 is cuDNN 8.9.7, but cuDNN 9 is needed", "nvidia-cudnn-cu");

    [Fact]
    public void A_part_of_cuDNN_that_is_missing_is_named_before_cuDNN_could_end_the_process()
    {
        string libraries = Libraries(file => file != DnnPart);
        Fails(libraries, [], $"{Path.Combine(libraries, DnnPart)}, a part of it, is missing", "nvidia-cudnn-cu");
    }

    [Fact]
    public void Libraries_of_two_CUDA_majors_are_both_named()
    {
        string mixed = Libraries(file => file is not ("libcublas.so.12" or "libcublasLt.so.12" or "libcufft.so.12"));
        Fails(mixed, [], "libcufft.so.11 is of CUDA 12", "libcublas.so.13 of CUDA 13", "all libraries must be of one CUDA major");

        string twelve = Libraries(file => !file.EndsWith(".13", StringComparison.Ordinal) && file != "libcufft.so.12");
        Fails(twelve, ["CUDASIM_CUDNN_CUDART_VERSION=13000"],
            "libcudnn.so.9 was built for CUDA 13", "libcublas.so.12) is of CUDA 12", "all libraries must be of one CUDA major");
    }

    [Fact]
    public void A_device_that_another_process_has_for_itself_says_so() =>
        Refine(Libraries(), ["CUDASIM_DEVICE_BUSY=1"]).AssertFails(ExitCode.Device, "cuda:0", "another process has it for itself", "nvidia-smi", "choose another device");

    [Fact]
    public void An_image_that_the_device_has_no_room_for_fails_alone()
    {
        // Three channels of 512 x 512 complex values take 6 MiB.
        string large = Path.Combine(folder, "large.png");
        ImageCodec.Save(large, SyntheticImages.GanLike(1, 0, 512));
        CliRun run = Refine(Libraries(), ["CUDASIM_MEMORY_MIB=4"], "cuda:0", Output, "--batch", "1", large, workspace.Fake);

        Assert.Equal(ExitCode.SomeFailed, run.Code);
        string line = Assert.Single(run.ErrorLines, line => line.Contains(large, StringComparison.Ordinal));
        Assert.Contains("too little memory for 512 x 512 pixels", line, StringComparison.Ordinal);
        Assert.Contains("--device cpu", line, StringComparison.Ordinal);
        Assert.Equal(Directory.GetFiles(workspace.Fake).Length, Directory.GetFiles(Output, "*.png", SearchOption.AllDirectories).Length);
    }

    [Fact]
    public void An_image_whose_maps_the_libraries_cannot_address_fails_alone()
    {
        // cuDNN takes tensors below 2^31 elements. The widest map of a network of width 64 has 384 channels: 384 x 2368 x 2368 is above, which
        // is noticed before there is not enough memory for them.
        CliRun training = CliRun.Of("train", "--device", "cpu", "--real", workspace.Real, "--fake", workspace.Fake, "--out", Path.Combine(folder, "run"),
            "--preset", "official", "--size", "32", "--width", "64", "--steps", "1", "--validate", "0");
        Assert.True(training.Code == ExitCode.Success, training.Error);
        string large = Path.Combine(folder, "large.png");
        ImageCodec.Save(large, new RgbImage(2368, 2368, new byte[3 * 2368 * 2368]));
        string also = Path.Combine(folder, "also.png");
        File.Copy(large, also);
        CliRun run = Run(Libraries(), [],
        [
            "refine", "--model", Path.Combine(folder, "run", "last.safetensors"), "--out", Output, "--device", "cuda:0", "--precision", "bf16",
            "--batch", "2", large, also, workspace.Fake,
        ]);

        Assert.True(run.Code == ExitCode.SomeFailed, run.Output + run.Error);
        Assert.Single(run.ErrorLines, line => line.Contains("cuda:0 cannot address 2 images of 2368 x 2368 at once; going on with 1", StringComparison.Ordinal));
        Assert.All((string[])[large, also], path =>
        {
            string line = Assert.Single(run.ErrorLines, line => line.Contains(path, StringComparison.Ordinal));
            Assert.Contains("cannot address maps of 2368 x 2368 pixels. Scale it down, or use --device cpu.", line, StringComparison.Ordinal);
        });
        Assert.Equal(Directory.GetFiles(workspace.Fake).Length, Directory.GetFiles(Output, "*.png", SearchOption.AllDirectories).Length);
    }

    [Theory]
    [InlineData("CUDASIM_FAIL_LAUNCH", "CUDA_ERROR_LAUNCH_FAILED (719)", "cuda:0")]
    [InlineData("CUDASIM_LOSE_DEVICE", "CUDA_ERROR_DEVICE_UNAVAILABLE (46)", "cuda:0")]
    [InlineData("CUDASIM_LOSE_DEVICE", "CUDA_ERROR_DEVICE_UNAVAILABLE (46)", "cuda:all")]
    public void A_device_lost_in_mid_run_fails_and_the_next_run_goes_on_from_what_was_done(string fault, string code, string device)
    {
        // A filter alone takes 27 operations an image at most; the fault strikes after a few of the 24 images.
        string input = WriteImages(24);
        SortedDictionary<string, string> whole = Whole(input);
        const string two = "CUDASIM_DEVICE_COUNT=2";

        CliRun run = Refine(Libraries(), [$"{fault}=60", two], device, Output, "--batch", "1", input);

        run.AssertFails(ExitCode.Device, code, "lost", "What is finished is kept", "nvidia-smi");
        SortedDictionary<string, string> kept = Tree(Output);
        Assert.InRange(kept.Count, 1, 23);
        Assert.All(kept, file => Assert.Equal(whole[file.Key], file.Value));
        Assert.Equal(kept.Keys, Refined().Order(StringComparer.Ordinal));

        CliRun next = Refine(Libraries(), [two], device, Output, "--batch", "1", input);
        Assert.True(next.Code == ExitCode.Success, next.Error);
        Assert.Contains($"{kept.Count} were there", next.Output, StringComparison.Ordinal);
        Assert.Equal(whole, Tree(Output));
        Assert.Equal(whole.Keys, Refined().Order(StringComparer.Ordinal));
    }

    // The oracle is an undisturbed run. Each kill strikes after some more of the images; where the machine is busy, one may come too late.
    [Fact]
    public void Killed_on_a_device_a_job_ends_with_the_files_of_an_undisturbed_one()
    {
        string input = WriteImages(60), libraries = Libraries();
        SortedDictionary<string, string> whole = Whole(input);
        int killed = 0;
        foreach (int some in (int[])[1, 9, 22])
        {
            CliRun run = Run(libraries, [], Arguments("cuda:0", Output, ["--batch", "4", "--quiet", input]), process =>
            {
                while (!process.HasExited && (!Directory.Exists(Output) || Directory.GetFiles(Output, "*.png").Length < some))
                {
                    Thread.Yield();
                }

                process.Kill();
            });
            killed += run.Code is ExitCode.Success or ExitCode.NothingToDo ? 0 : 1;
            Assert.All(Tree(Output).Where(file => !file.Key.StartsWith(".stig-", StringComparison.Ordinal)), file => Assert.Equal(whole[file.Key], file.Value));
        }

        CliRun last = Refine(libraries, [], "cuda:0", Output, "--batch", "4", input);
        Assert.Contains(last.Code, (int[])[ExitCode.Success, ExitCode.NothingToDo]);
        Assert.Equal(whole, Tree(Output));
        Assert.InRange(killed, 1, 3);
    }

    [Fact]
    public void A_recording_that_is_refused_is_said_once_and_changes_no_image()
    {
        string whole = Path.Combine(folder, "whole");
        string[] arguments = ["--batch", "1", workspace.Fake];
        CliRun undisturbed = Refine(Libraries(), [], "cuda:0", whole, arguments);
        Assert.Equal((ExitCode.Success, ""), (undisturbed.Code, undisturbed.Error));

        CliRun run = Refine(Libraries(), ["CUDASIM_REFUSE_CAPTURE=1"], "cuda:0", Output, arguments);

        Assert.Equal(ExitCode.Success, run.Code);
        Assert.Contains("CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED (900)", Assert.Single(run.ErrorLines), StringComparison.Ordinal);
        Assert.All(Directory.GetFiles(whole, "*.png"), path => Assert.Equal(File.ReadAllBytes(path), File.ReadAllBytes(Path.Combine(Output, Path.GetFileName(path)))));
    }

    [Fact]
    public async Task Two_processes_on_one_device_give_what_one_gives()
    {
        string libraries = Libraries();
        string[] outputs = ["first", "second", "alone"];
        Task<CliRun>[] together = [.. outputs[..2].Select(name => Task.Run(() => Refine(libraries, [], "cuda:0", Path.Combine(folder, name), workspace.Fake)))];
        CliRun[] runs = [.. await Task.WhenAll(together), Refine(libraries, [], "cuda:0", Path.Combine(folder, "alone"), workspace.Fake)];

        Assert.All(runs, run => Assert.True(run.Code == ExitCode.Success && run.Error.Length == 0, run.Error));
        foreach (string path in Directory.GetFiles(Path.Combine(folder, "alone"), "*.png"))
        {
            Assert.All(outputs, name => Assert.Equal(File.ReadAllBytes(path), File.ReadAllBytes(Path.Combine(folder, name, Path.GetFileName(path)))));
        }
    }

    // Refining fails with one line that has all parts; the doctor says the same and shows what there is.
    private void Fails(string libraries, string[] faults, params string[] parts)
    {
        Refine(libraries, faults).AssertFails(ExitCode.Device, ["cuda:0", .. parts]);
        Assert.False(Path.Exists(Output));
        Doctor(libraries, faults, parts);
    }

    private void Doctor(string libraries, string[] faults, params string[] parts)
    {
        CliRun doctor = Run(libraries, faults, ["doctor"]);
        Assert.Equal(ExitCode.Success, doctor.Code);
        Assert.All(parts, part => Assert.Contains(part, doctor.Output, StringComparison.Ordinal));
    }

    private CliRun Refine(string libraries, string[]? faults = null, string device = "cuda:0") => Refine(libraries, faults ?? [], device, Output, workspace.Fake);

    private CliRun Refine(string libraries, string[] faults, string device, string output, params string[] arguments) =>
        Run(libraries, faults, Arguments(device, output, arguments));

    private string[] Arguments(string device, string output, string[] arguments) =>
        ["refine", "--model", workspace.FilterModel, "--out", output, "--device", device, .. arguments];

    private string WriteImages(int count)
    {
        SyntheticImages.WriteSet(Path.Combine(folder, "in"), count, Workspace.Size, seed: 7);
        return Path.Combine(folder, "in", "fake");
    }

    // The outputs of an undisturbed run.
    private SortedDictionary<string, string> Whole(string input)
    {
        string output = Path.Combine(folder, "whole");
        CliRun whole = Refine(Libraries(), [], "cuda:0", output, "--batch", "1", input);
        Assert.True(whole.Code == ExitCode.Success, whole.Error);
        return Tree(output);
    }

    // Names and contents of all images of a folder, unfinished ones too.
    private static SortedDictionary<string, string> Tree(string output) => new(
        Directory.GetFiles(output).Where(path => !Path.GetFileName(path).StartsWith("manifest", StringComparison.Ordinal))
            .ToDictionary(path => Path.GetFileName(path), path => Convert.ToHexString(File.ReadAllBytes(path))),
        StringComparer.Ordinal);

    // What the manifest says is refined, each with the content that the output has.
    private IEnumerable<string> Refined()
    {
        foreach (string line in File.ReadLines(Path.Combine(Output, "manifest.jsonl")))
        {
            using JsonDocument entry = JsonDocument.Parse(line);
            string name = entry.RootElement.GetProperty("output").GetString()!;
            Assert.Equal("refined", entry.RootElement.GetProperty("status").GetString());
            Assert.Equal(new FileInfo(Path.Combine(Output, name)).Length, entry.RootElement.GetProperty("output_bytes").GetInt64());
            Assert.StartsWith("cuda:", entry.RootElement.GetProperty("plan").GetString(), StringComparison.Ordinal);
            yield return name;
        }
    }

    private CliRun Run(string libraries, string[] faults, string[] arguments, Action<Process>? meanwhile = null)
    {
        string leaks = Path.Combine(folder, string.Create(CultureInfo.InvariantCulture, $"leaks-{Guid.NewGuid():N}"));
        Dictionary<string, string?> environment = Ambient.ToDictionary(name => name, _ => (string?)null);
        environment["STIG_CUDA_PATH"] = libraries;
        environment["XDG_CACHE_HOME"] = Path.Combine(folder, "cache");
        environment["CUDASIM_LEAK_REPORT"] = leaks;
        environment["CUDASIM_QUIET"] = "1";
        foreach (string fault in faults)
        {
            environment[fault[..fault.IndexOf('=')]] = fault[(fault.IndexOf('=') + 1)..];
        }

        CliRun run = CliRun.OfProcess("stig", null, environment, arguments, meanwhile);

        // On a lost device, as by a process that is killed, nothing can be released; the driver does it when the process ends.
        bool lost = meanwhile is not null || faults.Any(fault => fault.StartsWith("CUDASIM_FAIL_LAUNCH", StringComparison.Ordinal) || fault.StartsWith("CUDASIM_LOSE", StringComparison.Ordinal));
        Assert.True(lost || !File.Exists(leaks), File.Exists(leaks) ? File.ReadAllText(leaks) : "");
        return run;
    }

    // A folder with those of the simulated libraries that a test wants there.
    private string Libraries(Func<string, bool>? wanted = null)
    {
        Assert.SkipWhen(SimulatedCuda.BuiltFolder is null, "The simulated CUDA libraries are not built (artifacts/cudasim).");
        if (NativeLibrary.TryLoad("libcuda.so.1", out nint real))
        {
            // Another test may have loaded the simulated one into this process: its name then finds it.
            bool simulated = NativeLibrary.TryGetExport(real, "cudasim_call_count", out _);
            NativeLibrary.Free(real);
            Assert.SkipUnless(simulated, "This machine has a CUDA driver of its own, which the program would find where a test wants none.");
        }

        string libraries = Directory.CreateDirectory(Path.Combine(folder, $"libraries-{Guid.NewGuid():N}")).FullName;
        foreach (string path in Directory.GetFiles(SimulatedCuda.BuiltFolder!).Where(path => wanted?.Invoke(Path.GetFileName(path)) ?? true))
        {
            File.CreateSymbolicLink(Path.Combine(libraries, Path.GetFileName(path)), path);
        }

        return libraries;
    }
}
