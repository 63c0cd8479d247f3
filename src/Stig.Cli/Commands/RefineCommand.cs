using System.CommandLine;
using System.Text.Json;
using Stig.Interop;
using Stig.Model.Execution;
using Stig.Model.Imaging;
using Stig.Model.Refinement;
using Stig.Model.Translation;

namespace Stig.Cli.Commands;

/// <summary><c>stig refine</c>: refines image files with a model.</summary>
internal static class RefineCommand
{
    // More images than a GPU gains anything by; a batch of 256 x 256 pixels is cut off by the memory for decoded images before that.
    private const int MaxBatch = 4096;

    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(250), JsonInterval = TimeSpan.FromSeconds(1);

    private static readonly EncodeOptions Default = new();

    public static Command Create(Terminal terminal)
    {
        InputArguments inputs = new();
        Option<string> model = new("--model")
        {
            Description = "Checkpoint, for example run/best.safetensors.",
            HelpName = "FILE",
            Required = true,
        };
        Option<string> output = new("--out") { Description = "Folder for the refined images.", HelpName = "DIR", Required = true };
        Option<OutputRange> range = CommonOptions.Choice<OutputRange>("--output-range",
            "clamp: cut off values outside the range. stretch: scale each image to fill it, which changes contrast.");
        Option<OutputFormat> format = CommonOptions.Choice<OutputFormat>("--format",
            "Format of the outputs; same: that of the input (JPEG loses some of the refinement).");
        Option<FitPolicy> fit = CommonOptions.Choice<FitPolicy>("--fit",
            "Sizes that the model does not take: pad by reflection and crop back, resize, or reject.");
        Option<int> pngLevel = CommonOptions.Between(Number("--png-level", "PNG's compression, 0 to 9.", Default.PngLevel), 0, 9);
        Option<PngFilter> pngFilter = CommonOptions.Choice<PngFilter>("--png-filter", "PNG's prediction.");
        Option<int> quality = CommonOptions.Between(Number("--quality", "Quality of JPEG, 1 to 100.", Default.Quality), 1, 100);
        Option<MetadataPolicy> metadata = CommonOptions.Choice<MetadataPolicy>("--metadata",
            "keep: colour profile, EXIF and XMP. safe: camera, times, artist, copyright; no place, owner or serial. none: the profile only.");
        Option<int> batch = CommonOptions.Between(
            Number("--batch", $"Images of equal size that are refined together, at most {MaxBatch}; never changes a result.", 4), 1, MaxBatch);
        Option<bool> noStamp = new("--no-stamp") { Description = "Do not note this program's version and the model in outputs." };
        Option<long> maxPixels = CommonOptions.Between(
            Number("--max-pixels", "Refuse images that declare more pixels; at most 2^28.", new RefineCodec().MaxPixels), 1, ImageCodec.MaxPixels);
        Option<ExistingOutputs> existing = CommonOptions.Choice<ExistingOutputs>("--existing",
            "Outputs that exist. resume: keep those that the manifest vouches for; skip: keep all; overwrite: keep none; fail: fail.");
        Option<bool> durable = new("--durable")
        {
            Description = "Sync each output to the disk before the manifest says that it is there (survives a loss of power; slower).",
        };
        Option<string> shard = new("--shard")
        {
            Description = "Refine one of n parts of the images. auto: as Slurm, Kubernetes or Open MPI says.",
            HelpName = "i/n|auto",
        };
        Option<long> maxFailures = CommonOptions.NotNegative(new Option<long>("--max-failures")
        {
            Description = "End once more images than this have failed. [default: go on to the end]",
            HelpName = "N",
        });
        Option<ProgressKind> progress = CommonOptions.Choice<ProgressKind>("--progress",
            "auto: a bar on a terminal, elsewhere lines. json: an object a second and at the end. none.");
        Option<bool> quiet = new("--quiet") { Description = "Show errors only: no progress, no summary, no warnings." };
        Option<bool> dryRun = new("--dry-run") { Description = "Say what would be done; read no image and write nothing." };
        Option<string> device = CommonOptions.Device();
        Option<PrecisionChoice> precision = CommonOptions.Precision();
        Option<bool> profile = new("--profile")
        {
            Description = "On a GPU: show a profiler every node by its name, instead of replaying them all at once. Slower.",
        };
        Option<int> threads = CommonOptions.Threads("Threads, divided between decoding, computing and encoding");
        StigCommand command = new("refine", "Refine images with a trained model: one output for each input, under its own name.",
            "stig refine --model run/best.safetensors --out refined generated",
            "stig refine --model run/best.safetensors --out refined a.png b.jpg",
            "find generated -name '*.png' -print0 | stig refine --model run/best.safetensors --out refined --null -",
            "stig refine --model run/best.safetensors --out refined --shard 3/8 generated")
        {
            model, output, range, format, fit, pngLevel, pngFilter, quality, metadata, batch, noStamp, maxPixels, existing, durable, shard, maxFailures, progress, quiet, dryRun, device, precision, threads, profile,
        };
        inputs.AddTo(command);
        command.SetAction(parsed =>
        {
            IReadOnlyList<string> devices = Device.ResolveAll(parsed.GetRequiredValue(device), DevicePurpose.Refinement, out string reason);
            ProgressKind kind = parsed.GetValue(progress);
            Terminal screen = parsed.GetValue(quiet) ? terminal.Quiet() : terminal;
            if (reason.Length > 0 && kind == ProgressKind.Auto)
            {
                screen.Line($"Device {devices[0]}: {reason}");
            }

            int gpus = devices.Count(name => name != "cpu");
            ThreadShare share = ThreadShare.Of(parsed.GetValue(threads), gpus);
            NativeCore.Threads = share.Compute;
            RefineCodec codec = new()
            {
                Format = parsed.GetValue(format),
                Stamp = !parsed.GetValue(noStamp),
                MaxPixels = parsed.GetValue(maxPixels),
                Encoding = Default with
                {
                    PngLevel = parsed.GetValue(pngLevel),
                    PngFilter = parsed.GetValue(pngFilter),
                    Quality = parsed.GetValue(quality),
                    Metadata = parsed.GetValue(metadata),
                },
            };
            RefineJobOptions options = new()
            {
                OutputFolder = parsed.GetRequiredValue(output),
                Existing = parsed.GetValue(existing),
                Durable = parsed.GetValue(durable),
                Shard = ShardOf(parsed.GetValue(shard)),
                MaxFailures = parsed.IsGiven(maxFailures) ? parsed.GetValue(maxFailures) : null,
                Tar = parsed.GetValue(inputs.Tar),
                Warn = screen.Warn,
                Pipeline = new RefinePipelineOptions { Codec = codec, CodecThreads = share.Codec },
            };
            using var interruption = new Interruption(screen);
            InputListing listing = InputListing.OpenAsync(inputs.Of(parsed, options.OutputFolder, codec), interruption.Token)
                .GetAwaiter().GetResult();
            using var refiners = new RefinerSet(devices, parsed.GetRequiredValue(model), new RefinerOptions
            {
                Precision = parsed.GetValue(precision).Asked(),
                Profile = parsed.GetValue(profile),
                OutputRange = parsed.GetValue(range),
                Batch = parsed.GetValue(batch),
                Warn = screen.Warn,
            });
            ModelArchitecture architecture = refiners.All[0].Model.Architecture;
            codec = codec with { Fit = new ImageFit(parsed.GetValue(fit), architecture.Size, architecture.SizeMultiple) };
            options = options with { Pipeline = options.Pipeline with { Codec = codec } };
            if (parsed.GetValue(dryRun))
            {
                return Preview(screen, refiners.All[0], listing, options, kind, interruption.Token);
            }

            return Run(screen, refiners.All, listing, options, kind, summary: true, interruption.Token);
        });
        return command;
    }

    /// <summary>Refines while showing progress; each image that fails is named as it is met.</summary>
    /// <returns>One of <see cref="ExitCode"/>.</returns>
    public static int Run(
        Terminal terminal, IReadOnlyList<IImageRefiner> refiners, InputListing listing, RefineJobOptions options, ProgressKind kind,
        bool summary, CancellationToken cancellation)
    {
        // Nothing is made where there is nothing to refine. A source that does not heed the token, as a terminal, is left to itself.
        IAsyncEnumerator<InputFile> source = listing.ListAsync(cancellation).GetAsyncEnumerator(CancellationToken.None);
        if (!source.MoveNextAsync().AsTask().WaitAsync(cancellation).GetAwaiter().GetResult())
        {
            throw new ImageDataException(NoInputs(listing, options));
        }

        using RefineJob job = RefineJob.Open(refiners, options);
        using var counting = new CancellationTokenSource();
        Task<long?> total = CountAsync(listing, options.Shard, counting.Token);
        JobReport Report() => new(terminal, job.Progress, total.IsCompletedSuccessfully ? total.Result : null, listing.Foreign, options.Tar);
        try
        {
            Task run = Task.Run(() => ConsumeAsync(terminal, job.RunAsync(Rest(source), cancellation)), CancellationToken.None);
            if (kind == ProgressKind.Auto)
            {
                terminal.WithProgress("refining", bar =>
                {
                    while (!((IAsyncResult)run).AsyncWaitHandle.WaitOne(Interval))
                    {
                        JobReport now = Report();
                        bar.Report(now.Fraction, now.Status);
                    }

                    JobReport end = Report();
                    bar.Report(end.Fraction, end.Status);
                    return 0;
                });
            }
            else
            {
                while (!((IAsyncResult)run).AsyncWaitHandle.WaitOne(JsonInterval))
                {
                    if (kind == ProgressKind.Json)
                    {
                        Report().WriteJson("progress");
                    }
                }
            }

            run.GetAwaiter().GetResult();
        }
        finally
        {
            // Also when the run ends by an error: what is done is kept.
            JobReport end = Report();
            terminal.Done = end.Outcome(options.OutputFolder);
            if (summary && kind == ProgressKind.Json)
            {
                end.WriteJson("summary");
            }
            else if (summary)
            {
                end.WriteSummary(options.OutputFolder);
            }

            counting.Cancel();
        }

        return Outcome(terminal, job, options, cancellation);
    }

    private static int Outcome(Terminal terminal, RefineJob job, RefineJobOptions options, CancellationToken cancellation)
    {
        RefineJobProgress end = job.Progress;
        if (job.FailedTooOften)
        {
            terminal.Error($"Ended after {end.Done} {JobReport.Inputs(options.Tar)}: {end.Failed} failed, more than --max-failures "
                + $"{options.MaxFailures}. See {job.ManifestPath}; the same command goes on from here.");
            return ExitCode.SomeFailed;
        }

        if (cancellation.IsCancellationRequested)
        {
            terminal.Warn($"interrupted after {end.Done} {JobReport.Inputs(options.Tar)}; the same command goes on from here");
            return ExitCode.Interrupted;
        }

        return CodeOf(end.Done, end.Refined, end.Skipped, end.Failed, end.Causes.GetValueOrDefault(RefineCause.Exists), end.FailedBefore);
    }

    // An output that exists says nothing against its input.
    private static int CodeOf(long done, long refined, long skipped, long failed, long existed, long failedBefore = 0) =>
        failed > 0 && refined + skipped + existed == 0 ? ExitCode.Data
        : failed + failedBefore > 0 ? ExitCode.SomeFailed
        : done == skipped ? ExitCode.NothingToDo
        : ExitCode.Success;

    private static async Task ConsumeAsync(Terminal terminal, IAsyncEnumerable<ManifestEntry> entries)
    {
        HashSet<ImageNoteKind> warned = [];
        await foreach (ManifestEntry entry in entries)
        {
            if (entry.Error is string error)
            {
                terminal.Error(ImageFiles.Printable(error));
            }

            foreach ((ImageNoteKind kind, string note) in entry.NoteKinds.Zip(entry.Notes ?? []))
            {
                if (warned.Add(kind))
                {
                    terminal.Warn(ImageFiles.Printable($"{entry.Input}: {note} Further images that lose something of this kind are in the manifest."));
                }
            }
        }
    }

    private static int Preview(
        Terminal terminal, IImageRefiner refiner, InputListing listing, RefineJobOptions options, ProgressKind kind,
        CancellationToken cancellation)
    {
        Dictionary<RefineStatus, long> counts = new()
        {
            [RefineStatus.Refined] = 0,
            [RefineStatus.Skipped] = 0,
            [RefineStatus.Failed] = 0,
        };
        long existed = 0;
        async Task Look()
        {
            await foreach ((InputFile input, RefineStatus status) in RefineJob.PreviewAsync(
                refiner, options, listing.ListAsync(cancellation), cancellation))
            {
                counts[status]++;
                if (input.Problem is not null)
                {
                    existed += input.Problem.Cause == RefineCause.Exists ? 1 : 0;
                    terminal.Error(ImageFiles.Printable(input.Problem.Message));
                }
            }
        }

        Look().WaitAsync(cancellation).GetAwaiter().GetResult();
        if (counts.Values.Sum() == 0 && options.Shard.Count == 1)
        {
            throw new ImageDataException(NoInputs(listing, options));
        }

        (long refine, long skip, long fail) = (counts[RefineStatus.Refined], counts[RefineStatus.Skipped], counts[RefineStatus.Failed]);
        terminal.Line(kind == ProgressKind.Json
            ? JsonSerializer.Serialize(new PreviewEvent("preview", refine, skip, fail, listing.Foreign), JobJson.Default.PreviewEvent)
            : $"Would refine {refine} {JobReport.Inputs(options.Tar)} into {options.OutputFolder}; {skip} are there already, {fail} cannot be "
                + $"refined, {listing.Foreign} other files would be left alone.");
        return CodeOf(refine + skip + fail, refine, skip, fail, existed);
    }

    // A second look at the names, beside the run, for the time that is left; null where names cannot be read twice.
    private static async Task<long?> CountAsync(InputListing listing, Shard shard, CancellationToken cancellation) =>
        listing.IsRepeatable ? await Task.Run(() => listing.CountAsync(shard, cancellation), cancellation).ConfigureAwait(false) : null;

    private static async IAsyncEnumerable<InputFile> Rest(IAsyncEnumerator<InputFile> source)
    {
        await using (source)
        {
            do
            {
                yield return source.Current;
            }
            while (await source.MoveNextAsync());
        }
    }

    private static Option<T> Number<T>(string name, string description, T value) => new(name)
    {
        Description = description,
        HelpName = "N",
        DefaultValueFactory = _ => value,
    };

    private static Shard ShardOf(string? text)
    {
        if (text is null)
        {
            return Shard.Whole;
        }

        if (text == "auto")
        {
            return Shard.OfScheduler(Environment.GetEnvironmentVariable, out string problem) ?? throw new UsageException(problem);
        }

        return Shard.TryParse(text, out Shard shard)
            ? shard
            : throw new UsageException($"--shard is i/n with i from 0 to n, or auto; it is {text}.");
    }

    private static string NoInputs(InputListing listing, RefineJobOptions options) =>
        $"No {JobReport.Inputs(options.Tar)} in {listing.Places}: looked for {string.Join(", ", listing.Extensions)}. "
        + "Name another folder or other files.";

    // A refiner a device.
    private sealed class RefinerSet : IDisposable
    {
        private readonly List<Refiner> refiners = [];

        public RefinerSet(IReadOnlyList<string> devices, string model, RefinerOptions options)
        {
            try
            {
                foreach (string device in devices)
                {
                    refiners.Add(Refiner.Load(model, options with { Device = device }));
                }
            }
            catch
            {
                Dispose();
                throw;
            }
        }

        public List<Refiner> All => refiners;

        public void Dispose() => refiners.ForEach(refiner => refiner.Dispose());
    }
}
