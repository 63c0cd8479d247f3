using Stig.Model.Checkpoints;
using Stig.Model.Data;
using Stig.Model.Execution;
using Stig.Model.Imaging;
using Stig.Model.Networks;
using Stig.Model.Translation;

namespace Stig.Model.Training;

/// <summary>
/// Training gave a loss, a gradient or a weight that is infinite or not a number; the message names it and the step. The last good checkpoint
/// is kept.
/// </summary>
public sealed class TrainingDivergedException(string message, Exception? innerException = null) : Exception(message, innerException);

/// <summary>Trains a model on two folders of images into a run folder.</summary>
public static class TrainingRun
{
    private const int ValidationFraction = 10;
    private const int MaxDefaultValidation = 32;

    /// <summary>Runs until the last step, or until cancelled, in which case the step at hand is finished and saved.</summary>
    /// <param name="options">Folders, preset, progress.</param>
    /// <param name="cancellation">Ends the run after the step at hand, with everything saved.</param>
    /// <exception cref="ArgumentException">An option is out of range.</exception>
    /// <exception cref="ImageDataException">A folder is missing, or has too few images that can be read.</exception>
    /// <exception cref="DeviceException">The device cannot be used.</exception>
    /// <exception cref="IOException">The run folder cannot be written, is in use, or holds a run already.</exception>
    /// <exception cref="CheckpointException">The checkpoint to resume from cannot be used, or one cannot be written.</exception>
    /// <exception cref="TrainingDivergedException">A loss, a gradient or a weight is infinite or not a number.</exception>
    public static TrainingResult Run(TrainingRunOptions options, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        IReadOnlyList<ImageFile> realFiles = ImageFiles.FindIn(options.RealFolder);
        IReadOnlyList<ImageFile> fakeFiles = ImageFiles.FindIn(options.FakeFolder);
        int images = Math.Min(realFiles.Count, fakeFiles.Count);
        TrainingOptions training = Complete(options, images);
        training.Validate();
        using Executor executor = Device.Open(options.Device, DevicePurpose.Training, winograd: true);
        using RunFolder folder = RunFolder.Open(options.OutputFolder, options.Resume);
        RunSetup? earlier = options.Resume ? Checkpoint.ReadInfo(folder.LastCheckpoint).Setup : null;
        var setup = new RunSetup(
            options.Crop ?? earlier?.Crop ?? CropMode.Random,
            options.Validation ?? earlier?.Validation ?? DefaultValidation(images),
            options.Interval > 0 ? options.Interval : earlier?.Interval ?? Math.Max(50, (training.Steps + 19) / 20),
            realFiles.Count, fakeFiles.Count, RunSetup.HashNames(realFiles, fakeFiles), executor.Arithmetic);
        if (earlier is not null)
        {
            setup.CheckResumed(earlier, folder.LastCheckpoint, options.Warn);
        }

        var dataset = new UnpairedDataset(realFiles, fakeFiles, new DatasetOptions
        {
            Size = training.Size,
            Batch = training.Batch,
            Crop = setup.Crop,
            Seed = (ulong)training.Seed,
            OfficialPairing = training.Preset == Preset.Official,
            Report = options.Warn,
        });
        UnpairedDataset? validation = null;
        if (setup.Validation > 0)
        {
            (dataset, validation) = dataset.Split(setup.Validation, (ulong)training.Seed);
        }

        using var run = new Running(options, training, setup, folder, dataset, validation, executor);
        folder.WriteOptions(options, training, setup);
        return run.Run(cancellation);
    }

    private static int DefaultValidation(int images) =>
        images < ValidationFraction ? 0 : Math.Clamp(images / ValidationFraction, 2, MaxDefaultValidation);

    // Turns epochs into steps. A resumed run keeps the options of its checkpoint but may be given more steps.
    private static TrainingOptions Complete(TrainingRunOptions options, int images)
    {
        TrainingOptions training = options.Training;
        int stepsPerEpoch = (images + training.Batch - 1) / training.Batch;
        return options.Epochs > 0
            ? training with { Epochs = options.Epochs, StepsPerEpoch = stepsPerEpoch, Steps = (long)options.Epochs * stepsPerEpoch }
            : training;
    }

    private sealed class Running : IDisposable
    {
        private readonly TrainingRunOptions options;
        private readonly TrainingOptions training;
        private readonly RunSetup setup;
        private readonly RunFolder folder;
        private readonly UnpairedDataset dataset;
        private readonly Executor executor;
        private readonly TrainingSession? session;
        private readonly TensorStore store;
        private readonly Validator? validator;
        private double? bestDistance;
        private long bestStep;
        private long saved;

        public Running(
            TrainingRunOptions options, TrainingOptions training, RunSetup setup, RunFolder folder, UnpairedDataset dataset,
            UnpairedDataset? validation, Executor executor)
        {
            this.options = options;
            this.training = training;
            this.setup = setup;
            this.folder = folder;
            this.dataset = dataset;
            this.executor = executor;
            if (options.Resume)
            {
                session = TrainingSession.Resume(folder.LastCheckpoint, executor, training);
                store = session.Store;
                if (File.Exists(folder.BestCheckpoint))
                {
                    CheckpointInfo best = Checkpoint.ReadInfo(folder.BestCheckpoint);
                    (bestDistance, bestStep) = (best.SpectralDistance, best.Step);
                }
            }
            else
            {
                IReadOnlyDictionary<string, float[]> fitted = ClosedFormFitter.Fit(executor, training.Architecture, dataset);
                if (training.Architecture.HasNetwork)
                {
                    session = TrainingSession.Start(training, executor, fitted);
                    store = session.Store;
                }
                else
                {
                    store = executor.CreateStore();
                    foreach (ParameterSpec spec in Checkpoint.ModelParameters(training.Architecture))
                    {
                        store.Create(spec.Name, spec.Shape, fitted[spec.Name]);
                    }
                }
            }

            validator = validation is null ? null : new Validator(training.Architecture, validation, executor, store);
        }

        public TrainingResult Run(CancellationToken cancellation)
        {
            long steps = session is null ? 0 : training.Steps;
            long completed = session?.CompletedSteps ?? 0;
            if (session is not null)
            {
                folder.OpenLog(completed);
            }

            if (!options.Resume)
            {
                Save(0, Measure(0));
            }

            if (completed < steps)
            {
                completed = RunSteps(steps, cancellation);
            }

            return new TrainingResult(
                completed, completed >= steps, folder.LastCheckpoint, validator is null ? null : folder.BestCheckpoint,
                bestStep, bestDistance, validator?.InputDistance);
        }

        public void Dispose()
        {
            validator?.Dispose();
            session?.Dispose();
            store.Dispose();
        }

        private long RunSteps(long steps, CancellationToken cancellation)
        {
            saved = session!.CompletedSteps;
            using var batches = new Prefetcher(dataset.Fill, dataset.BatchLength, session.CompletedSteps);
            while (session.CompletedSteps < steps && !cancellation.IsCancellationRequested)
            {
                PrefetchedBatch batch = batches.Next();
                try
                {
                    session.Run(batch.Real.Span, batch.Fake.Span);
                }
                catch (TrainingDivergedException diverged)
                {
                    throw new TrainingDivergedException($"{diverged.Message} The last good weights are in {folder.LastCheckpoint}. "
                        + "Try a lower --learning-rate.", diverged);
                }

                Dictionary<string, float> losses = session.LossNames.ToDictionary(name => name, session.Loss);
                long step = session.CompletedSteps;
                bool checkpoint = step == steps || step % setup.Interval == 0;
                if (checkpoint)
                {
                    ClosedFormFitter.Correct(executor, training.Architecture, store, dataset);
                }

                double? distance = checkpoint ? Measure(step) : null;
                var progress = new TrainingProgress(step, steps, session.LearningRate, losses, distance);

                // Before the checkpoint: a run resumed from it drops the lines beyond its step, and could not make up for a missing one.
                folder.Log(progress);
                if (checkpoint)
                {
                    Save(step, distance);
                }

                options.Progress?.Invoke(progress);
            }

            if (session.CompletedSteps > saved)
            {
                // Cancelled. Saved only: what is measured, and so what is the best step, shall not depend on where a run was stopped.
                Save(folder.LastCheckpoint, session.CompletedSteps, null);
            }

            return session.CompletedSteps;
        }

        // Measures the present weights and draws a sheet.
        private double? Measure(long step)
        {
            double? distance = validator?.Measure();
            validator?.SaveSheet(folder.SheetPath(step), $"{training.Preset} preset, step {step}, log-frequency distance {distance:F3}");
            return distance;
        }

        // Saves the present weights as the best ones, if they are, and then as the last ones: a run that is killed in between comes to
        // this step again and finds the same.
        private void Save(long step, double? distance)
        {
            if (distance is double value && (bestDistance is null || value < bestDistance))
            {
                Save(folder.BestCheckpoint, step, distance);
                (bestDistance, bestStep) = (value, step);
            }

            Save(folder.LastCheckpoint, step, distance);
            saved = step;
        }

        private void Save(string path, long step, double? distance) =>
            Checkpoint.Save(path, new CheckpointInfo(training.Architecture, step, training, distance, setup), store);
    }
}
