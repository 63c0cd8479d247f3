using System.Runtime.InteropServices;

namespace Stig.Cli;

/// <summary>
/// Turns the first Ctrl-C (or request to terminate) into a cancelled token, so that the step at hand is finished; the second one ends the
/// program as usual.
/// </summary>
internal sealed class Interruption : IDisposable
{
    private readonly CancellationTokenSource source = new();
    private readonly PosixSignalRegistration[] registrations;

    public Interruption(Terminal terminal)
    {
        void Handle(PosixSignalContext context)
        {
            if (!source.IsCancellationRequested)
            {
                context.Cancel = true;
                terminal.Warn("stopping after what is being computed; once more to stop at once");
                source.Cancel();
            }
        }

        PosixSignal[] signals = [PosixSignal.SIGINT, PosixSignal.SIGTERM];
        registrations = [.. signals.Select(signal => PosixSignalRegistration.Create(signal, Handle))];
    }

    public CancellationToken Token => source.Token;

    public void Dispose()
    {
        Array.ForEach(registrations, registration => registration.Dispose());
        source.Dispose();
    }
}
